"""How American and British mailboxes, call screeners, menus and carriers word what they say, in English.

Rules are matched against plain text: lower case, no punctuation, "youve" for "you've". A receptionist's
sentences are no rule here: "how may I direct your call", "may I ask who is calling", "he is not available".
"""

from bot.languages.language import Answering
from bot.languages.wording import Wording

_DIGIT = r"(?:\d|zero|oh|one|two|three|four|five|six|seven|eight|nine|star|pound|hash)"
_CALLED = (
    r"(?:you(?: are|re)? (?:\w+ )?(?:calling|trying to (?:reach|call|contact))|you(?: have|ve)? "
    r"(?:called|dialed|dialled|reached)|you wish to (?:reach|call))"
)
_NOW = r"(?:currently |temporarily |presently |now )?"
_LATER = r"(?!.*\b(?:call|text|email|get back|let you know)\b)"
_WELL = (
    r"(?:oh|um|uh|ok|okay|yes|yeah|sure|well|right|alright|all right|sorry|so|of course|"
    r"actually|let me see|hmm|and|hey)"
)
_MOMENT = r"(?:second|seconds|sec|secs|moment|moments|minute|minutes|min|tick)"
_WAIT = (
    rf"(?:(?:just |please )?(?:hold|hang|wait)(?: on| up)?(?: (?:for )?(?:just )?(?:a|one)(?: quick|"
    rf" short)? {_MOMENT})?|"
    rf"(?:just |give me (?:just )?)?(?:a|one|another|two|a few|a quick|a couple of)(?: more| quick)? {_MOMENT}|"
    r"bear with me|(?:ill be )?right back|ill be back)"
)
_ILL = r"(?:let me|ill|i will|i need to|i have to|im going to|im gonna|im just going to)"
_LOOK = r"(?:check|look|see|have a look|take a look|get|grab|find|pull|open|fetch|go|ask|write|turn|put)"

ENGLISH_MACHINES = Answering(
    tone=Wording(
        r"(?:after|at|following|wait for|hear) the (?:sound of the )?(?:tone|beep|signal)",
        r"record (?:your|a) (?:\w+ )?message",
        r"when you(?: are|re| have|ve)? (?:finished|done) (?:recording|speaking|with your message)",
    ),
    voicemail=Wording(
        r"voice ?mail(?: ?box)?",
        r"mail ?box",
        r"(?:automatic|automated) (?:voice )?(?:message|messaging|answering) (?:system|service)",
        r"(?:call has been|being) forwarded to an? (?:automatic|automated) \w+",
        r"answering machine",
        r"sorry (?:i|we) missed your call",
    ),
    speaks_of_messages=Wording(
        r"(?:i|we|you|he|she|they|somebody|someone|ive|weve|youve) (?:(?:just|have|had|already|only|\w+ly|never|"
        r"didnt|think|thought) ){0,3}(?:got|gotten|received|heard|left|listened to|saw|checked|thought|sent|"
        r"called about|was|this was|its|it was) (?:\w+ ){0,4}(?:voice ?mail|messages?)\b(?! box)",
        r"did(?:nt)? you (?:get|hear|receive|leave)",
        r"(?:do|should|can|could|may|shall|did|must) i (?:\w+ )?(?:leave|record|speak)",
        r"(?:got|received|heard|about|returning|regarding) (?:your|the|a|that|his|her) (?:\w+ )?"
        r"(?:voice ?mail|message)\b",
    ),
    asks_for_message=Wording(
        r"(?<!to )(?<!could )(?<!can )leave (?:me |us )?(?:a|your|the) (?:\w+ )?(?:message|name|number)",
    ),
    mailbox_full=Wording(
        r"(?:mail ?box|voice ?mail(?: ?box)?) (?:(?:belonging to|for|of) [\w ]{1,40} )?is (?:currently )?full",
        r"mail ?box [\w ]{0,40}(?:cannot|can not|cant|is unable to|is not able to) accept "
        r"(?:any |new |more )*messages",
        r"(?:mail ?box|voice ?mail)[\w ]{0,40} (?:has not been|hasnt been|is not|has not yet been) set ?up",
        r"not set up (?:a|their|his|her|the) voice ?mail(?: ?box)?",
    ),
    screening=Wording(
        r"(?:state|say|record) your (?:full )?name",
        r"(?:give|tell|provide) (?:me |us )?your name and (?:the )?(?:reason|purpose|why)",
        r"(?:state|say|record|tell me|tell us) (?:your name and )?(?:the )?(?:reason|purpose) "
        r"(?:for|of) (?:your|the|this) call",
        r"(?:state|say|record|tell me|tell us) (?:your name and )?why you(?:re| are) calling",
        r"call(?:s)? (?:screening|assist|protect|guardian|filter)(?: service)?",
        r"us(?:es|ing) an? (?:call )?(?:screening|assistant)",
        r"call is (?:being )?screened",
        r"screens (?:its|all|their|his|her) calls",
        r"(?:name and|your) reason for calling",
        r"ill see if this person is available",
        r"(?:number|person|party|customer|subscriber|they) (?:\w+ ){0,6}(?:does not|doesnt|do not|dont) accept "
        r"calls from (?:unknown|unidentified|anonymous|blocked|private)",
        r"to be connected (?:please )?(?:press|say|state)",
        r"(?:google|virtual|digital) assistant (?:\w+ ){0,3}(?:for|of|answering|taking|screening)",
        r"tell me (?:a (?:little|bit) )?more about (?:why you(?:re| are) calling|your call)",
    ),
    menu=Wording(
        rf"(?:press|dial|push|enter|hit) (?:the )?(?:number |key |button )?{_DIGIT}",
        r"press (?:the )?(?:pound|star|hash|any)(?: key| sign| button)?",
        r"for [\w ]{2,40} (?:press|dial) \w+",
        r"(?:press|say|dial) or (?:press|say|dial)",
        r"(?:options|menu) (?:have|has) (?:recently )?changed",
        r"listen (?:carefully )?to (?:the following|our|all|these|all of the following) "
        r"(?:\w+ )?(?:menu|options|choices)",
        r"(?:main|following|our) menu",
        r"(?:following|menu) options",
        r"(?:enter|dial|know) (?:your partys|the|your) (?:\w+ )?(?:extension|account number)",
        r"dial (?:it|the extension|your partys extension) (?:now|at any time)",
        r"you can say things like",
        r"you can say (?:\w+ ){1,7}or (?:something|anything) else",
        r"in a few words (?:please )?tell (?:me|us)",
        r"please (?:say|select|choose) (?:one of|from|an?) (?:the )?(?:following|option)",
        r"for (?:english|spanish) (?:press|say|dial)",
        r"para espanol",
        r"oprima (?:el )?(?:numero )?\w+",
    ),
    unavailable=Wording(
        rf"(?:number|line) {_CALLED}[\w ]{{0,30}} (?:is|has|cannot|can not|cant|was) "
        rf"(?:been |not |no |be |a |longer |"
        rf"{_NOW})*(?:in service|disconnected|working|changed|assigned|in use|reached|available|recognized|"
        r"recognised|valid|unavailable|out of service|restricted|switched off|allocated|barred)",
        r"(?:number|phone|line) (?:\w+ ){0,8}(?:not|no longer) in service",
        r"(?:number|phone|line) (?:\w+ ){0,8}has been (?:temporarily )?(?:disconnected|changed)",
        r"call (?:cannot|can not|cant|could not|couldnt) be (?:completed|connected|put through)",
        rf"(?:(?:customer|subscriber|mobile|user)(?: {_CALLED})?|(?:party|person|caller|"
        rf"number) {_CALLED}) (?:is|are) {_NOW}"
        r"(?:not (?:available|reachable|in service|answering)|unavailable|unreachable|switched off|busy|"
        r"out of (?:range|coverage|reach)|on another call)",
        rf"(?:phone|mobile|handset) (?:{_CALLED} )?is {_NOW}(?:switched|turned) off",
        r"check the number and (?:try|dial) (?:again|your call)",
        r"all (?:circuits|lines|trunks) are (?:currently )?busy",
        r"not accepting (?:calls|incoming calls)(?: at this time)?",
        r"(?:has|have) calling restrictions",
        r"your call did not go through",
        r"unable to complete your call",
        r"(?:un|not )allocated number",
        r"not a (?:working|valid) number",
    ),
    lasting=Wording(
        r"(?:not|no longer) in service",
        r"(?:has|have) been (?:temporarily )?(?:disconnected|changed)",
        r"be completed as (?:dialed|dialled|entered)",
        r"check the number",
        r"not (?:a )?(?:working|valid|assigned|allocated|recognized|recognised)",
        r"unallocated number",
        r"(?:has|have) calling restrictions",
    ),
    busy=Wording(
        r"all (?:circuits|lines|trunks) are (?:currently )?busy",
        r"(?:is|are) (?:currently )?(?:busy|on another call)",
    ),
    recording=Wording(
        r"(?:cant|cannot|can not|unable to|not able to) (?:come to the phone|take your call|"
        r"answer (?:the phone|your call))",
        r"(?:call|conversation)s? (?:may|will|is|are|might) (?:be |being )?(?:recorded|monitored)",
        r"recorded (?:line|for)",
        r"(?:office|opening|business|our|regular) hours",
        r"(?:we|our offices?|office) (?:are|is) (?:currently |now )?closed",
        r"(?:well|ill|will) (?:get back to you|return your call|call you back) (?:as soon "
        r"as|when|at my|at our|shortly)",
        r"(?:your call is|calls are) (?:very )?important to us",
        r"thank you for (?:your call|your patience|holding)",
    ),
    holding=Wording(
        r"(?:stay|remain|hold) on the line",
        r"(?:please|just|kindly) (?:hold|wait|stand by)",
        r"(?:hold on|one moment|just a moment|one second)(?: please)?(?: while)?",
        r"while (?:i|we) (?:try to )?(?:connect|reach|transfer|put|check|get|see)",
        r"(?:connecting|transferring|forwarding) (?:you|your call)",
        r"try(?:ing)? to (?:connect|reach)",
        r"(?:your call is|calls are) (?:very )?important",
        r"next available (?:\w+ )?(?:agent|representative|operator|assistant)",
        r"(?:you are|youre) (?:number|caller)",
        r"^thank you$|^thanks$|^got it$",
    ),
    queue=Wording(
        r"(?:stay|remain|hold|holding|wait) on the line",
        r"(?:continue|continuing) (?:to hold|holding)",
        r"(?:please|just|kindly) (?:stand by|wait for (?:the|our) next)",
        r"next (?:available|free) (?:\w+ ){0,3}(?:agent|representative|operator|assistant|advisor|adviser|"
        r"specialist|"
        r"associate|person|member)",
        r"(?:agent|representative|operator|assistant|advisor|adviser|specialist|associate|someone|"
        r"team member|we) "
        r"(?:will|shall) (?:be with|attend to|assist|be right with) you",
        r"(?:in|on) the order (?:in which )?(?:it was|they were|it is|received|your call)",
        r"you(?: are|re)? (?:now |currently )?(?:number|caller(?: number)?|in position|position) "
        r"(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|\w+ty)",
        r"you(?: are|re) (?:now |currently )?(?:next|first|\d+(?:st|nd|rd|th)|second|third|fourth|fifth) in "
        r"(?:the )?(?:line|queue)",
        r"your (?:place|position) in (?:the )?(?:line|queue)",
        r"\w+ (?:callers?|calls|people) (?:are )?(?:ahead of|before|in front of) you",
        r"(?:estimated|approximate|expected|average|current|anticipated) (?:wait(?:ing)?|hold)(?: time)?",
        r"(?:higher|heavier|larger|longer|more calls) than (?:usual|normal|average|expected)",
        r"(?:unusually )?(?:high|heavy|large) (?:\w+ )?(?:call volumes?|volumes? of calls|number of calls)",
        r"all (?:of )?(?:our |the )?(?:\w+ ){0,3}(?:agents|representatives|operators|assistants|advisors|"
        r"advisers|"
        r"specialists|associates|lines|staff|team members|team) (?:are|is) (?:\w+ ){0,2}(?:busy|assisting|"
        r"helping|"
        r"serving|engaged|on (?:other|another)|speaking)",
        r"(?:currently |busy )?(?:assisting|helping|serving) other (?:callers|customers|patients|clients|guests)",
        r"we(?:ll| will) be (?:right )?with you (?:as soon as|shortly|in a (?:moment|minute|few))",
        r"your call (?:will be|is being|has been placed|is in)[\w ]{0,20}(?:answered|queue|transferred|"
        r"connected|line)",
        r"someone will (?:answer|take|pick up) your call",
    ),
    patience=Wording(
        r"(?:your call is|calls are) (?:very |really )?important to us",
        r"we (?:\w+ )?(?:value|appreciate) your (?:call|business|patience)",
    ),
    putting_on_hold=Wording(
        r"(?:please|can you|could you|would you|will you|do you mind|just|gonna need you to) (?:please |"
        r"just |kindly )?"
        r"hold(?: on)?(?: the line| please)*(?= for| while| one| a| just|$)",
        r"^(?:[\w ]{0,60} )?hold(?: on)? (?:please|the line(?: please)?)$",
        r"(?:put|place|putting|placing|pop|popping) you (?:on|in a) (?:a )?(?:brief |quick |short )?hold",
        r"(?<!cant )(?<!cannot )(?<!not )(?:transfer|connect|patch|switch|forward)(?:ring|ing)? (?:you|"
        r"your call|this call|the call)"
        r"(?! the| my| some| your| a (?:payment|deposit))",
        r"(?:put|putting|pass|passing) (?:you|your call) (?:through|over|on to|onto|across)",
        r"let me (?:see|check|find out) (?:if|whether) (?:he|she|they|hes|shes|theyre|somebody|someone|"
        r"the \w+|dr \w+|doctor \w+|"
        r"mr \w+|mrs \w+|ms \w+|anybody|anyone) (?:(?:is|are) )?(?:in|available|free|here|around|there)",
        r"(?:let me|ill|i will|im going to|going to) (?:just )?(?:get|grab|fetch|find|go get) (?:him|her|"
        r"them|somebody|"
        r"someone|you (?:somebody|someone|to|over|the)|the (?:manager|owner|doctor|nurse|scheduler|supervisor|"
        r"person|right))",
    ),
    short_wait=Wording(
        rf"^{_LATER}(?:{_WELL} )*(?:(?:can|could|would|will) you )?{_WAIT}(?: {_WAIT}| please| thanks|"
        rf" thank you| for me"
        rf"| okay)*(?: (?:while |and |so )?(?:i|{_ILL}) {_LOOK}(?: \w+){{0,7}})?$",
        rf"^{_LATER}(?:{_WELL} )*let me (?:just |quickly )?{_LOOK}(?: \w+){{0,7}}$",
    ),
    taking_over=Wording(
        r"(?:how|what) (?:can|may|could) (?:i|we) (?:help|do for|assist)",
        r"(?:may|can|could) i (?:help|assist) you",
        r"this is (?!(?:a|an|your|not|for|to)\b)(?:\w+ ){0,3}\w+(?: speaking)?$",
        r"^(?:\w+ ){0,4}\w+ speaking$",
        r"who(?:s| is| am i) (?:this|calling|speaking)",
        r"(?:youre|you are) (?:through to|speaking (?:to|with)|talking to)",
        r"^(?:good (?:morning|afternoon|evening))\b",
    ),
    person=Wording(
        r"^(?:oh )?(?:hello|hi|hey)$",
        r"(?:hello|hi|hey)(?: \w+){0,2}$",
        r"(?:im|i am|were|we are) (?:here|back|on the (?:line|phone))",
        r"who(?:s| is) (?:this|there|it|calling|speaking)",
        r"(?:are you|anybody|anyone|somebody|someone) (?:still )?there",
        r"(?:dont|do not) hang up",
        r"(?:i )?just (?:picked|got) (?:up|to the phone|it)",
        r"(?:how|what) (?:can|may|could) (?:i|we) (?:help|do for) you",
        r"(?:may|can|could) i help you",
        r"this is \w+(?: \w+)?(?: speaking)?$",
        r"^\w+(?: \w+)? speaking$",
        r"^(?:yes|yeah|yep)(?: (?:hello|hi|speaking|this is he|this is she|what is it|go ahead|im here))?$",
    ),
    refusing=Wording(
        r"(?:cant|cannot|can not|unable to|not able to) (?:take|answer|come to|talk|speak|pick up)",
        r"(?:is|are) (?:not|un) ?(?:available|interested|taking)",
        r"(?:call|try) (?:again|back) (?:later|another)",
        r"remove (?:the|this|my) number",
        r"please (?:do not|dont) call",
        r"good ?bye",
    ),
)
