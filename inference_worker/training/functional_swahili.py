"""The Swahili half of the functional tests: the same functionalities, not translations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SWAHILI_GROUPS = ("Wasomali", "Wakikuyu", "Wajaluo", "Waislamu", "Wakristo", "wakimbizi")
"""Whom a sentence with {group} is about, one after another."""

SWAHILI: Mapping[bool, Mapping[str, Sequence[str]]] = {
    True: {
        "derogation of a group": (
            "{group} wote ni wezi na waongo.",
            "{group} ni watu wachafu na wajinga.",
        ),
        "hate stated outright": ("Ninawachukia {group}.", "Nachukia sana {group} wote."),
        "dehumanisation": (
            "{group} ni mende.",
            "{group} ni kama panya, si watu.",
            "Hawa {group} ni wanyama.",
        ),
        "threat to a group": (
            "Tutawachinja {group} wote.",
            "Tutachoma nyumba za {group} baada ya kura.",
            "{group} wauawe wote.",
        ),
        "threat to a person": (
            "Nitakuua wewe na familia yako.",
            "Tunajua unapoishi, utakufa.",
            "Tutakuvunja miguu ukiandika tena.",
        ),
        "call to drive out": (
            "{group} waondoke hapa mara moja ama tutawafukuza.",
            "Fukuzeni {group} kwenye ardhi yetu.",
        ),
        "insult to a person": (
            "Wewe ni mjinga sana.",
            "Nyamaza, mbwa wewe.",
            "Huyu gavana ni mpumbavu na mwizi.",
            "Wewe ni takataka.",
        ),
        "insult with profanity": (
            "Kumamako, malaya wewe.",
            "Wewe ni mavi tu.",
            "Mkundu wewe, enda zako.",
        ),
        "slur": ("Msenge huyu aondoke.", "Mashoga wote watupwe nje."),
        "Sheng": (
            "Wewe ni fala sana, rudi kwenu.",
            "Hii msee ni ghasia, apigwe.",
            "Hao watu ni madoadoa, watoke hapa.",
            "Wewe ni umbwa, shut up.",
        ),
    },
    False: {
        "identity named neutrally": (
            "{group} wanaishi katika kaunti nyingi za Kenya.",
            "Nilikutana na {group} sokoni leo asubuhi.",
        ),
        "identity praised": (
            "{group} ni watu wazuri sana.",
            "Tunawapenda {group} kwa ukarimu wao.",
        ),
        "hate negated": ("Sichukii {group}.", "{group} si mende, ni majirani zetu."),
        "hate quoted to counter it": (
            'Kusema "{group} ni panya" ni chuki na lazima ikome.',
            "Anayesema {group} wauawe ashtakiwe mahakamani.",
        ),
        "hate reported as news": (
            "Polisi wamemkamata mtu aliyetishia kuchoma nyumba za {group}.",
            "Tume inachunguza matamshi ya chuki dhidi ya {group}.",
        ),
        "abuse at objects": (
            "Simu hii ni takataka, betri inaisha haraka.",
            "Nachukia ugali baridi.",
            "Filamu hiyo ilikuwa mbaya sana.",
        ),
        "criticism without abuse": (
            "Gavana alivunja ahadi yake na anafaa kujiuzulu.",
            "Sikubaliani na mbunge huyu.",
            "Tume ilihesabu kura polepole mno.",
        ),
        "election talk": (
            "Vituo vya kupigia kura vitafunguliwa saa kumi na mbili asubuhi.",
            "Tutawashinda kwenye kura Jumanne.",
            "Pigeni kura kisha mrudi nyumbani kwa amani.",
        ),
        "first aid and farming": (
            "Tumia dawa hii kuua mende na panya.",
            "Mbwa alimuuma mtoto na akapelekwa kwa daktari wa mifugo.",
            "Mchinje mbuzi asubuhi kabla ya jua kali.",
        ),
        "Sheng": (
            "Niaje msee, uko wapi leo?",
            "Manze hiyo game ilikuwa fiti sana.",
            "Buda nitumie doo ya lunch.",
        ),
    },
}
