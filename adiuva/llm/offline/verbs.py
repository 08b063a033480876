"""What people say, and what tools are called, when something is to be made, read, changed or removed."""

from adiuva.llm.offline.text import Sentence, stem

_CLASSES = {
    "create": "create add make new write remind schedule plan suggest propose draft jot record save note start insert"
    " log register invent",
    "read": "list show what which get read open view display see find search look tell when where fetch give summarise"
    " summarize overview count who many",
    "update": "update change set mark rename move complete finish postpone reschedule edit approve archive unarchive"
    " reopen assign raise lower close modify correct tick check reactivate restore done",
    "delete": "delete remove discard erase drop cancel clear trash",
}
VERB_CLASS = {stem(verb): kind for kind, verbs in _CLASSES.items() for verb in verbs.split()}

# What else an enum's value is called.
SYNONYMS = {
    "done": ("complete", "finish", "tick off", "check off"),
    "completed": ("done", "finish"),
    "in_progress": ("started", "working on", "underway"),
    "todo": ("to do", "reopen"),
    "high": ("urgent", "important", "asap", "critical"),
    "low": ("unimportant", "whenever"),
    "medium": ("normal", "average"),
    "active": ("unarchive", "reactivate", "restore"),
    "ai_suggested": ("suggest", "propose"),
}
_VERB_AND_NOUN = {
    stem(word) for word in ("count", "log", "many", "new", "note", "open", "plan", "record", "schedule", "start")
}


def verb_of(sentence: Sentence) -> tuple[str, str]:
    """The class of what the sentence wants, and the stem of the verb that says so; both "" where none does."""
    weak = "", ""
    for position, word in enumerate(sentence.words):
        kind = VERB_CLASS.get(word.stem, "")
        if kind and (position == 0 or word.stem not in _VERB_AND_NOUN):
            return kind, word.stem
        if kind and not weak[0]:
            weak = kind, word.stem
    if weak[0]:
        return weak
    if sentence.text.rstrip().endswith("?"):
        return "read", ""
    return ("create", "") if sentence.search(r"\b(need|have|want|must|ought) to\b|\bdon'?t forget\b") else ("", "")
