"""Words that recur in the grammar task: those of the language, and those that mark a phenomenon."""

from __future__ import annotations

# Words of the language rather than of a group's content.
FUNCTION_WORDS = """
    the a an of in on at to for by from with and so neither nor but as than or into onto under over behind
    before after during through along near above below beneath beside between among against around across past
    about until off out up down like not no never without is was are were has have had be been will would can
    could cannot may might must should did does do he she it its his her him them their they we us me i my our
    himself herself itself themselves this that these those which who much many little few too very one two
    three first something someone nobody everyone each every all another other more less than last next
    yesterday tomorrow ago now week weeks month years year days hour again when whenever often front opposite
"""
FUNCTION = set(FUNCTION_WORDS.split())
# Words that carry a phenomenon, and so recur on purpose.
MARKERS = {
    "pronoun": {"make", "makes", "lets", "thinks", "helps", "says", "jokes", "claims"},
    "inversion": {"perhaps", "maybe", "certainly", "surely", "probably", "apparently", "clearly", "course"}
    | {"nowhere", "once", "way", "time", "point", "account", "circumstances"},
    "complement": {"decided", "hoped", "agreed", "wished", "managed", "promised", "hesitated", "pretended", "longed"}
    | {"vowed", "failed", "enjoyed", "avoided", "considered", "admitted", "denied", "suggested", "imagined", "kept"}
    | {"postponed", "recalled", "mentioned"},
}
