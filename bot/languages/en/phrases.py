"""English: phrases, word lists, and the sentences of American and British carriers, mailboxes and screeners."""

from bot.languages.dictation import DictationWords
from bot.languages.en.colleague import ENGLISH_COLLEAGUE
from bot.languages.en.identity import ENGLISH_IDENTITY
from bot.languages.en.machines import ENGLISH_MACHINES
from bot.languages.en.notices import ENGLISH_NOTICES
from bot.languages.en.speech import SPEECH
from bot.languages.language import Language

ENGLISH = Language(
    code="en",
    speech=SPEECH,
    name="English",
    backchannels=(
        *("mhm", "mhmm", "mm-hmm", "mmhmm", "mm hm", "m-hm", "mmhm", "mm mm", "mm", "hm", "hmm", "m hmm"),
        *("uh-huh", "uhhuh", "uh hu", "a-ha", "aha", "ah", "ah ha", "oh", "um-hum", "um hmm", "umhum", "uh hum"),
        *("ok", "okay", "okey", "okay then", "k", "kay", "mkay", "okey dokey", "o k"),
        *("yeah", "yeahh", "yea", "yah", "ya", "yep", "yup", "yes", "oh yeah", "oh yes", "oh okay"),
        *("right", "alright", "all right", "that's right", "sure", "sure thing", "of course", "exactly"),
        *("i see", "oh i see", "got it", "gotcha", "i got it", "understood", "i understand", "makes sense"),
        *("good", "fine", "great", "cool", "nice", "perfect", "wow", "really", "true", "correct", "go on"),
        *("that's fine", "sounds good", "very good", "no problem", "go ahead", "absolutely", "definitely"),
    ),
    stop_phrases=(
        *("stop", "stop it", "stop talking", "be quiet", "quiet", "shut up", "shush"),
        *("wait", "wait a minute", "wait a second", "hold on", "hold up", "hang on", "hold it", "hold the line"),
        *("one second", "one sec", "just a second", "just a sec", "a second please", "give me a second"),
        *("one moment", "just a moment", "a moment please", "one minute", "just a minute", "give me a minute"),
        *("excuse me", "pardon", "pardon me", "sorry", "i'm sorry", "no no", "nope", "let me stop you"),
        *("hey hey", "slow down", "not so fast", "can i just", "let me ask", "i have a question", "time out"),
        *("what was that", "say that again", "come again", "listen", "let me speak", "let me talk"),
    ),
    not_stop_phrases=(
        *("can't wait", "cannot wait", "can wait", "couldn't wait", "wait for you", "wait for me", "wait until"),
        *("wait till", "i'll wait", "i will wait", "i can wait", "wait list", "the wait", "wait time"),
        *("bus stop", "stop by", "stop in", "full stop", "the stop", "stop sign", "tram stop", "train stop"),
        *("not sorry", "sorry for your", "sorry to hear", "no no problem", "no no that's fine", "listen to"),
        *("beg your pardon me", "i'll hold on", "quiet place", "quiet here"),
    ),
    greetings=(
        *("hello", "helo", "hullo", "hallo", "hi", "hi there", "hey", "hey there", "yes", "yeah", "yes hello"),
        *("good morning", "good afternoon", "good evening", "morning", "speaking", "this is he", "this is she"),
        *("who is this", "who's this", "who's calling", "hello who is this", "anybody there", "anyone there"),
        *("is anybody there", "is anyone there", "are you there", "can you hear me", "oh hello", "yep"),
    ),
    # Not the words that end questions and short answers too: "calling from?", "I think so", "yes, they are".
    unfinished=(
        *(
            "and",
            "but",
            "or",
            "because",
            "if",
            "while",
            "although",
            "unless",
            "than",
            "and then",
            "and so",
            "but then",
        ),
        *("um", "uh", "erm", "er", "uhm", "umm", "like", "well um", "i mean", "let me see", "let's see", "well"),
        *("the", "a", "an", "my", "your", "our", "his", "her", "their", "this is", "it's", "i'm", "i am", "i"),
        *("my number is", "the number is", "the address is", "my name is", "i would like", "i want", "i need"),
    ),
    digits=("zero", "oh", "o", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "double"),
    complete=(
        *(
            "yes",
            "yeah",
            "yep",
            "yes please",
            "yes it does",
            "yes it is",
            "yes i do",
            "yes that works",
            "that works",
        ),
        *(
            "no",
            "nope",
            "no thanks",
            "no thank you",
            "not really",
            "i don't know",
            "of course",
            "sure",
            "okay",
            "ok",
        ),
        *(
            "thanks",
            "thank you",
            "thank you very much",
            "thanks a lot",
            "great",
            "great thank you",
            "great thanks",
        ),
        *("bye", "bye bye", "goodbye", "good bye", "have a good day", "have a nice day", "you too", "that's all"),
        *("that's it", "that's right", "that's correct", "correct", "right", "perfect", "alright", "all right"),
    ),
    fillers=("One moment.", "Let me see.", "Just a second."),
    bridges=("Let me check that for you.", "One moment, I'm looking that up.", "Bear with me for a second."),
    silence=("Are you still there?", "Hello? I can't hear you."),
    silence_goodbye="I can't hear you, so I'll hang up now. Goodbye.",
    time_is_up="I'm sorry, I have to end the call here. Thank you for your time. Goodbye.",
    trouble="I'm sorry, I'm having technical trouble and have to end the call. Goodbye.",
    trouble_call_back="I'm sorry, I'm having technical trouble. We will call you back. Goodbye.",
    cannot_answer="I'm sorry, I can't help you with that. Is there anything else about this call?",
    goodbye="Thank you. Goodbye.",
    opening=(
        "Hello[[ {{callee_name}}]], this is {{agent_name}}[[ from {{organization}}]]."
        "[[ I'm calling to {{reason}}.]] {{question|How can I help you?}}"
    ),
    voicemail_message=(
        "Hello, this is {{agent_name}}[[ from {{organization}}]]. I was calling to {{reason}}. "
        "Please call us back. Thank you, goodbye."
    ),
    screening_reply="This is {{agent_name}}[[ from {{organization}}]].[[ I'm calling to {{reason}}.]]",
    after_hold=(
        "Hello, this is {{agent_name}}[[ from {{organization}}]].[[ I'm calling to {{reason}}.]][[ {{question}}]]"
    ),
    hold_goodbye="I have been on hold for a while, so I'll hang up now. Goodbye.",
    transferring="I'll put you through now.",
    transfer_failed="I'm sorry, nobody is free to take your call just now.",
    dictation=DictationWords(
        phone="(?:phone|telephone|mobile|cell|call ?back) ?number|(?:which|what) number|number (?:to|can|we|is)",
        email="e ?mail|mail address",
        code=r"\w+ (?:number|code|id|reference)|code|pin|reference|postcode|zip",
        spelling="spell|(?:your|last|first|full) name|whats the name|letter by letter",
        at="at",
        dot="dot|point|period",
        signs="underscore|dash|hyphen|plus|slash|double|triple|under",
        phone_digits=10,
    ),
    answering=ENGLISH_MACHINES,
    asking=ENGLISH_COLLEAGUE,
    notices=ENGLISH_NOTICES,
    identity=ENGLISH_IDENTITY,
)
