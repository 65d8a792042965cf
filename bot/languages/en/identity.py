"""Who is speaking, in English."""

from __future__ import annotations

from bot.languages.identity import IdentityWords
from bot.languages.wording import Wording

ENGLISH_IDENTITY = IdentityWords(
    introduction="Hello, this is {{agent_name}}[[, calling for {{organization}}]].",
    asks="Am I speaking with {{callee_name}}?",
    asks_unnamed="May I ask who I am speaking with?",
    why="I can only say what it is about to {{callee_name|the person I am calling}}.",
    goodbye="Thank you, I will try again another time. Goodbye.",
    message=(
        "Hello, this is {{agent_name}}[[ from {{organization}}]], with a message[[ for {{callee_name}}]]. "
        "Please call us back. Thank you, goodbye."
    ),
    screening="This is {{agent_name}}[[ from {{organization}}]], calling[[ for {{callee_name}}]].",
    introduces=(
        "this is|its|it is|im|i am|my name is|my names|name is|thats|that is|you are speaking (?:with|to)|"
        "youre speaking (?:with|to)|you are talking to|youre talking to|youve got|you have got|you have|"
        "you reached|youve reached|call me"
    ),
    presents="speaking|here|is speaking|on the (?:line|phone)|at the (?:phone|apparatus)",
    titles="mr|mrs|ms|miss|mister|dr|doctor|prof|professor|sir|madam",
    speaking=(
        "speaking|this is (?:he|she|him|her|me|them|they)|thats me|that is me|its me|it is me|that would be me|"
        "that be me|yes i am|i am|im he|i am (?:he|she)|you are|yes you are|you are speaking (?:with|to) "
        "(?:him|her|me)|you got me|youve got (?:him|her|me)|thats my name|the one and only|yes this is|yes it is|"
        "you found me|in person"
    ),
    yes=(
        "yes|yeah|yep|yup|ya|yah|aye|uh huh|uhhuh|mm hmm|mmhmm|mhm|sure|correct|right|thats right|that is right|"
        "thats correct|indeed|sure am|sure is|absolutely|certainly|of course|affirmative"
    ),
    courtesies=(
        "hi|hello|hey|good (?:morning|afternoon|evening)|please|thanks|thank you|um|uh|oh|well|maam|sir|there|"
        "how are you|how can i help(?: you)?|how may i help(?: you)?|what can i do for you|go ahead|whats up|"
        "what is it|what do you (?:want|need)"
    ),
    denies=Wording(
        r"^(?:no|nope|nah|negative|uh uh)\b(?! (?:problem|worries))",
        r"wrong (?:number|person)",
        r"(?:not|isnt|aint|wasnt) (?:here|in|home|at home|available|around|him|her|he|she|\w+ speaking)",
        r"(?:im|i am|this is|its|it is) not\b",
        r"this isnt",
        r"(?:he|she|they|hes|shes|theyre) (?:is |are |has |have )?(?:out|away|gone|left|busy|moved|passed|died|"
        r"dead|asleep|sleeping|at work|on vacation)",
        r"(?:his|her|their|\w+s) (?:wife|husband|mother|father|mom|dad|son|daughter|sister|brother|partner|"
        r"roommate|assistant|secretary|colleague|neighbor|neighbour|caregiver|carer)",
        r"(?:wife|husband|mother|father|mom|dad|son|daughter|sister|brother|partner|roommate|assistant|"
        r"secretary) of",
        r"(?:nobody|no one|noone|no \w+) (?:here |by that name|of that name|called|named)",
        r"(?:doesnt|does not|dont|do not) (?:live|work|know|have)",
        r"(?:dont|do not) (?:call|know) (?:him|her|them|any|a|that|who)",
    ),
    wonders=Wording(
        r"who(?:s| is| are| am)? (?:this|that|you|calling|speaking|i|it|asking|wants)",
        r"who (?:are you|is it|wants to know)",
        r"what(?:s| is)? (?:this|it|the|your) (?:about|call|regarding|concerning|for|in|reason|business)",
        r"what (?:is )?(?:this|it)(?: is)? (?:about|regarding|concerning|for|in)",
        r"whats (?:this|it|that) (?:about|regarding|concerning|all|for|in)",
        r"(?:why|what for|what about|regarding what|about what|in what)",
        r"what (?:do you want|company|kind of)",
        r"where are you calling",
        r"are you (?:a |an )?(?:robot|bot|machine|computer|real|human|ai|person|recording)",
        r"is this (?:a |an )?(?:robot|bot|machine|computer|real|human|ai|scam|recording|sales)",
    ),
    no_name=(
        "sorry not busy fine good well here in at on the a an his her their just so very okay ok "
        "afraid sure glad happy calling speaking about going driving working listening who what why "
        "he she him it me they no nobody none private your my our all too now yes right that this "
        "is am are trying looking wondering asking for with to from of still nothing someone "
        "somebody anybody home hello"
    ),
)
