"""Functional tests of the abuse detector: what a text does, by which words it must not be judged.

The functionalities follow HateCheck (Röttger et al. 2021); the sentences are our own, written for
East African public talk, in English and Swahili. No model may learn from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from inference_worker.training.functional_swahili import SWAHILI, SWAHILI_GROUPS

GROUPS = ("Somalis", "Kikuyus", "Luos", "Muslims", "Christians", "refugees", "women", "gay people")
"""Whom a sentence with {group} is about, one after another."""


@dataclass(frozen=True, slots=True)
class Case:
    """One sentence, what it tests, and whether it is abusive."""

    functionality: str
    language: str
    text: str
    is_abusive: bool


ABUSIVE: Mapping[str, Sequence[str]] = {
    "derogation of a group": (
        "{group} are disgusting and inferior to the rest of us.",
        "All {group} are liars and thieves, every one of them.",
        "{group} have ruined this country and I despise them.",
        "There is nothing good to be said about those filthy {group}.",
    ),
    "hate stated outright": (
        "I hate {group}.",
        "I can't stand {group}, they make me sick.",
        "Everyone I know hates {group}, and they deserve it.",
    ),
    "dehumanisation": (
        "{group} are cockroaches.",
        "{group} are vermin that breed like rats.",
        "Those {group} are animals, not people.",
        "This town must be cleansed of the parasites we call {group}.",
    ),
    "threat to a group": (
        "We will burn down the houses of all {group} after the vote.",
        "{group} should be shot on sight.",
        "Kill all {group} before they take our land.",
        "If {group} come here again, blood will flow.",
    ),
    "threat to a person": (
        "I know where you live and I will kill you.",
        "Write that again and we will break your legs.",
        "You will be dead before election day, I promise.",
        "Someone should slit her throat.",
        "We are coming for you and your children tonight.",
    ),
    "call to drive out": (
        "{group} must leave our county now or be thrown out.",
        "Send all {group} back where they came from.",
        "We do not want {group} here, chase them away.",
    ),
    "call to exclude": (
        "{group} should not be allowed to vote.",
        "Do not rent your houses to {group}, they are filth.",
        "No {group} should ever hold office in this country.",
    ),
    "insult to a person": (
        "You are a stupid, worthless idiot.",
        "Shut up, you ugly pig.",
        "He is a brainless moron and so is his mother.",
        "What a pathetic piece of garbage you are.",
        "Our governor is a fat, lazy fool.",
    ),
    "insult with profanity": (
        "Fuck you, you fucking idiot.",
        "That bitch can go to hell.",
        "You are full of shit, asshole.",
        "What a dumb motherfucker.",
    ),
    "insult without a listed word": (
        "Your mother must be ashamed she gave birth to you.",
        "A goat would make a better senator than you.",
        "Talking to you is like talking to a wall, only the wall is brighter.",
        "The world would be better off without you.",
    ),
    "slur": (
        "Those niggers are at it again.",
        "Throw the faggots out of our church.",
        "Stupid sluts like her should stay at home.",
        "Another retard from that village.",
    ),
    "hate in negation": (
        "{group} are not human beings.",
        "{group} do not deserve to live among us.",
        "No {group} can ever be trusted.",
    ),
    "hate as a question": (
        "Why are {group} so stupid and dirty?",
        "When will we finally get rid of these {group}?",
        "Who invited these filthy {group} to our town?",
    ),
    "hate as an opinion": (
        "In my view {group} are simply worth less than us.",
        "I honestly think {group} are the scum of the earth.",
        "To be fair, {group} belong in cages.",
    ),
    "hate by reference": (
        "My neighbours are {group}. They are rats and should be gassed.",
        "I saw some {group} today. I wanted to spit on them.",
        "{group}? Those people are a disease.",
    ),
    "abuse of a journalist": (
        "You lying whore, stop writing about our party.",
        "Presstitutes like you should be beaten in the street.",
        "This reporter is a paid dog, somebody teach her a lesson.",
    ),
    "spelling: swapped letters": (
        "You are a stupdi idoit.",
        "Kill all the dirty {group}, tehy are rtas.",
        "Fcuk you, you ugly bicth.",
    ),
    "spelling: letters for signs": (
        "You are a stup1d 1d1ot.",
        "F@ck you, b1tch.",
        "Those {group} are c0ckr0aches and v3rmin.",
    ),
    "spelling: spaced letters": (
        "k i l l all {group}, they are rats",
        "you are such an i d i o t",
        "f u c k you, pig",
    ),
    "spelling: stretched or starred": (
        "You stuuuupid idiooooot.",
        "You f*cking b*tch.",
        "I haaaate these disgusting {group}.",
    ),
}

HARMLESS: Mapping[str, Sequence[str]] = {
    "identity named neutrally": (
        "{group} live in many counties of Kenya.",
        "My colleagues include several {group}.",
        "The survey asked {group} about the price of maize.",
        "I met some {group} at the market this morning.",
    ),
    "identity praised": (
        "{group} have done great things for this country.",
        "I love how welcoming {group} are.",
        "We are proud of our {group}.",
    ),
    "hate negated": (
        "I don't hate {group}.",
        "{group} are not vermin, they are our neighbours.",
        "Nobody should ever say that {group} are inferior.",
        "We would never harm {group}.",
    ),
    "hate quoted to counter it": (
        'Saying "{group} are rats" is hate speech and must stop.',
        'Whoever writes "kill all {group}" belongs in court.',
        'The court heard that he shouted "{group} are cockroaches" at the crowd.',
        'Posters reading "{group} out" were condemned by the bishops.',
    ),
    "hate reported as news": (
        "Police arrested a man who threatened to burn the homes of {group}.",
        "Three people were killed in the attack on {group}, officials said.",
        "The commission is investigating hate speech against {group}.",
    ),
    "profanity that harms nobody": (
        "I'm so fucking tired today.",
        "Holy shit, what a goal!",
        "This damn traffic is killing me.",
        "That concert was fucking brilliant.",
        "Oh shit, I forgot my ID card.",
    ),
    "slur reclaimed or mentioned": (
        "We are bad bitches and we love it.",
        "My bitches and I are going dancing tonight.",
        "As a queer woman I say queer with pride.",
        'The word "nigger" has a painful history.',
    ),
    "abuse at objects": (
        "This stupid printer never works.",
        "I hate cold ugali.",
        "My phone is trash, the battery dies in an hour.",
        "That film was garbage.",
        "Kill the background process before you restart.",
    ),
    "abuse of ideas and institutions": (
        "This budget is a stupid plan.",
        "I hate corruption.",
        "Capitalism is a rotten system.",
        "The government's tax policy is a disaster.",
    ),
    "harm to nobody in particular": (
        "I could kill for a cup of tea.",
        "We will crush them in the final on Saturday.",
        "Shoot me an email when the results are in.",
        "The match was pure murder on my nerves.",
    ),
    "criticism without abuse": (
        "The governor broke her promise and should resign.",
        "I disagree with this MP on almost everything.",
        "The commission counted the votes too slowly.",
        "This article is wrong about the dates.",
    ),
    "election talk": (
        "Polling stations open at six in the morning.",
        "We will beat them at the ballot on Tuesday.",
        "Observers counted the ballots in Kisumu until midnight.",
        "Vote for the candidate you trust and go home in peace.",
    ),
    "first aid and farming": (
        "Use this spray to kill cockroaches and rats in the store.",
        "The dog bit a child and was taken to the vet.",
        "Pigs need shade and clean water.",
        "Slaughter the goat in the morning, before it is hot.",
    ),
}


def cases() -> list[Case]:
    """Return every sentence of the suite."""
    return [
        *_filled("en", ABUSIVE, GROUPS, is_abusive=True),
        *_filled("en", HARMLESS, GROUPS, is_abusive=False),
        *_filled("sw", SWAHILI[True], SWAHILI_GROUPS, is_abusive=True),
        *_filled("sw", SWAHILI[False], SWAHILI_GROUPS, is_abusive=False),
    ]


def _filled(
    language: str,
    templates: Mapping[str, Sequence[str]],
    groups: Sequence[str],
    *,
    is_abusive: bool,
) -> Iterator[Case]:
    for functionality, sentences in templates.items():
        for sentence in sentences:
            named = groups if "{group}" in sentence else groups[:1]
            for group in named:
                text = sentence.replace("{group}", group)
                yield Case(functionality, language, text[0].upper() + text[1:], is_abusive)
