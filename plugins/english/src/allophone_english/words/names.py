"""Names and words that decide how a number beside them is read."""

from __future__ import annotations

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

NUMBERED = (
    "Act|Annex|Appendix|Apollo|Article|Book|Bowl|Canto|Category|Chapter|Civilization|Class|Division|Episode|Factor|"
    "Fantasy|Figure|Form|Gemini|Grade|Graded|Group|Halloween|Level|Mark|Mk|Olympiad|Page|Part|Peak|Pentium|Phase|Psalm|Rambo|"
    "Rocky|Saturn|Scene|Schedule|Section|Sonata|Stage|Step|Symphony|Table|Tier|Title|Titan|Type|Unit|Vatican|Vol|"
    "Volume|War|WrestleMania|Zone"
)
"""Words that a Roman numeral counts: "Chapter IV" is chapter four."""

REGNAL = (
    "Abdullah|Adrian|Afonso|Albert|Alexander|Alexei|Alexius|Alfonso|Amadeus|Amenhotep|Andrew|Anne|Antiochus|Artaxerxes|"
    "Augustus|Baldwin|Basil|Beatrix|Benedict|Boniface|Callixtus|Carl|Casimir|Catherine|Celestine|Charles|Christian|"
    "Clement|Cleopatra|Conrad|Constantine|Darius|David|Edgar|Edmund|Edward|Elizabeth|Emmanuel|Eric|Eugene|Felipe|"
    "Ferdinand|Francis|Franz|Frederick|Friedrich|George|Gregory|Gustav|Haakon|Harald|Harold|Henri|Henry|Hussein|"
    "Innocent|Isabella|Ivan|James|John|Joseph|Juan|Julius|Justinian|Karl|Katherine|Leo|Leopold|Louis|Ludwig|Malcolm|"
    "Manuel|Margaret|Margrethe|Martin|Mary|Maximilian|Mehmed|Michael|Mohammed|Muhammad|Murad|Napoleon|Nicholas|Olaf|"
    "Olav|Oscar|Otto|Paul|Pedro|Peter|Philip|Philippe|Pius|Ptolemy|Rainier|Rama|Ramesses|Ramses|Richard|Robert|"
    "Roger|Rudolf|Selim|Sigismund|Sixtus|Stephen|Suleiman|Sylvester|Theodosius|Thutmose|Umberto|Urban|Victor|"
    "Vladimir|Wilhelm|William|Xerxes"
)
"""Names that a single letter may count: "Elizabeth I", "Charles V"."""

UNTITLED = (
    "A|After|An|And|As|At|Before|But|By|Call|Did|Do|Each|Every|For|From|Get|Give|Had|Has|Have|He|Her|His|How|If|In|Is|"
    "It|Its|Like|Make|Many|More|Most|My|New|No|Not|Of|On|One|Or|Our|Put|Said|See|She|Some|Start|Stop|Take|That|The|"
    "Their|Then|There|These|They|This|Those|To|Two|Until|Use|Was|We|What|When|Where|Which|While|Who|With|You|Your"
)
"""Words at the beginning of a sentence that no numeral belongs to: "The IV drip"."""

AFTER_PRONOUN = (
    "am|was|have|had|has|do|did|don|didn|will|would|can|could|couldn|can|shall|should|may|might|must|think|thought|know|"
    "knew|love|loved|like|liked|want|wanted|need|needed|see|saw|say|said|went|go|got|get|came|come|met|found|felt|feel|"
    "heard|hear|took|take|made|make|gave|left|hope|guess|believe|mean|never|always|also|just|really|read|wrote|told|"
    "tell|asked|bought|remember|wish|suppose|used|work|worked|live|lived|understand"
)
"""Words that tell the pronoun I from the numeral."""

NOT_ROMAN = {"CIV", "CLI", "CVI", "DCI", "DIV", "DVI", "LIV", "MCI", "MDI", "MIX", "XXX"}
"""Roman numerals in form, but words and initialisms by custom."""

VERSIONED = (
    "version|versions|release|firmware|Python|iOS|iPadOS|macOS|Android|Linux|Ubuntu|Debian|Fedora|kernel|Java|PHP|Ruby|"
    "Node|CUDA|PyTorch|TensorFlow|NumPy|Chrome|Firefox"
)
"""What has versions: "Python 3.11" is three point eleven."""

IDENTIFIED = (
    "PIN|pin|code|codes|passcode|password|ZIP|zip|zipcode|postcode|ISBN|ISSN|OCLC|PMID|SSN|EAN|UPC|IMEI|IBAN|ID|id|account|"
    "Account|serial|Serial|passport|Passport|card|Card|routing|tracking|Code"
)
"""What is identified by digits, each of them read: "PIN 4821"."""

TELEPHONES = (
    "call|Call|dial|Dial|phone|Phone|telephone|Telephone|tel|Tel|text|Text|fax|Fax|ring|Ring|cell|Cell|mobile|Mobile|"
    "hotline|Hotline|SMS|WhatsApp|number|Number"
)
"""What a number of a telephone follows."""

LABELLED = (
    "Boeing|Airbus|Flight|flight|Room|room|Highway|highway|Route|route|Interstate|Bus|bus|Box|Porsche|Peugeot|BMW|"
    "Channel|channel|Area|Apartment|apartment|Suite|suite|Car|Train|train|Hwy\\.?|Rte?\\.?"
)
"""What a number names rather than counts: "Flight 370" is three seventy."""

STATES = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
    "CT": "Connecticut", "DE": "Delaware", "DC": "DC", "FL": "Florida", "GA": "Georgia", "HI": "Hawaii", "ID": "Idaho",
    "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky", "LA": "Louisiana", "ME": "Maine",
    "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota", "MS": "Mississippi", "MO": "Missouri",
    "MT": "Montana", "NE": "Nebraska", "NV": "Nevada", "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico",
    "NY": "New York", "NC": "North Carolina", "ND": "North Dakota", "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon",
    "PA": "Pennsylvania", "RI": "Rhode Island", "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee",
    "TX": "Texas", "UT": "Utah", "VT": "Vermont", "VA": "Virginia", "WA": "Washington", "WV": "West Virginia",
    "WI": "Wisconsin", "WY": "Wyoming",
}  # fmt: skip
"""Before a ZIP code."""

VERSES = (
    "Genesis|Exodus|Leviticus|Numbers|Deuteronomy|Joshua|Judges|Ruth|Samuel|Kings|Chronicles|Job|Psalm|Psalms|Proverbs|"
    "Ecclesiastes|Isaiah|Jeremiah|Ezekiel|Daniel|Hosea|Amos|Jonah|Micah|Matthew|Mark|Luke|John|Acts|Romans|"
    "Corinthians|Galatians|Ephesians|Philippians|Colossians|Thessalonians|Timothy|Titus|Hebrews|James|Peter|Jude|"
    "Revelation|Surah|Quran"
)
"""Books of chapters and verses: "John 3:16"."""

DOMAINS = (
    "com|org|net|edu|gov|mil|info|biz|io|ai|app|dev|co|uk|us|ca|au|de|fr|jp|cn|in|ru|br|it|es|nl|se|no|fi|dk|pl|ch|at|be|"
    "eu|ie|nz|za|kr|mx|tv|me|ly|gl|cc|xyz|online|site|tech|blog|cloud|museum|int"
)
"""Endings of names of hosts."""

WORDS_THAT_ARE_DOMAINS = {"in", "is", "it", "no", "us", "at", "be", "me", "so", "site", "online", "blog", "app", "cloud", "museum"}  # fmt: skip
"""Endings that a missing space before a word looks like: "the end.it was"."""

FILES = (
    "txt|pdf|docx?|xlsx?|pptx?|csv|tsv|json|xml|ya?ml|toml|ini|cfg|conf|log|md|rst|tex|html?|css|js|ts|jsx|tsx|py|ipynb|"
    "rb|rs|go|java|c|h|cpp|hpp|cs|php|sh|bat|exe|dll|so|zip|tar|gz|bz2|xz|7z|rar|jpe?g|png|gif|svg|bmp|webp|mp3|mp4|"
    "wav|flac|ogg|avi|mkv|mov|iso|dmg|apk|deb|rpm|sql|db|bak|tmp|onnx|pt"
)
"""Endings of names of files."""
