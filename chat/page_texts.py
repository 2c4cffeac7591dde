"""The words that the page's scripts use; they come with the page, in its language.

Values stand in braces: a script fills them in.
"""

from django.utils.translation import gettext as _


def texts() -> dict[str, str]:
    return {
        "untitled": _("New chat"),
        "waiting": _("Waiting for the first word… {seconds} s"),
        "waitingLong": _(
            "Still nothing after {seconds} s. Some models take their time; "
            "you can stop and choose another one."
        ),
        "thinking": _("Thinking…"),
        "thinkingFor": _("Thinking for {seconds} s"),
        "thought": _("Thought for {seconds} s"),
        "answering": _("An answer is being written."),
        "finished": _("The answer is complete."),
        "stopped": _("The answer was stopped."),
        "failed": _("The answer failed."),
        "stop": _("Stop"),
        "send": _("Send"),
        "copied": _("Copied"),
        "copy": _("Copy"),
        "copyCode": _("Copy the code"),
        "offline": _("The server cannot be reached. Your message is kept here; try again in a moment."),
        "reconnecting": _("The connection is gone. The server goes on writing; the page picks it up again…"),
        "signInAgain": _("Sign in again"),
        "openSettings": _("Open the settings"),
        "tryAgain": _("Try again"),
        "tryAgainIn": _("Try again in {seconds} s"),
        "reload": _("Reload the page"),
        "gone": _("This conversation is no longer there."),
        "signedOut": _("You are signed out. What you wrote is kept here until you are back."),
        "unexpected": _("Something went wrong. Try again."),
        "noModels": _("No model fits. What you typed is used as it is."),
        "modelsUnread": _("The provider's list of models could not be read: {error}"),
        "notSent": _("{count} earlier messages were not sent to the model"),
        "notSentOne": _("1 earlier message was not sent to the model"),
        "modelMissing": _("Choose a model first."),
        "testing": _("Asking the provider…"),
        "works": _("It works: the provider answered in {milliseconds} ms."),
        "modelsFound": _("It lists {count} models: choose one."),
        "noColon": _("Write each header on a line of its own, as name: value."),
        "noJson": _("This is not JSON."),
        "moreModels": _("And {count} more: type to find one."),
        "retired": _("retired since {date}"),
        "retires": _("retires on {date}"),
        "title": _("Title"),
        "renamed": _("The conversation is renamed."),
        "conversationDeleted": _("“{title}” is deleted."),
        "conversationUsed": _(
            "“{title}” is not deleted, because it has been used in another tab or elsewhere."
        ),
        "deletedElsewhere": _("This conversation was deleted in another tab. It is kept if you write in it."),
        "charactersLeft": _("Characters left: {count}"),
        "charactersOver": _("Too long by {count}: a message has at most {most} characters."),
        "conversationArchived": _("The conversation is archived."),
        "conversationBack": _("The conversation is back in the list."),
        "messageDeleted": _("The message is deleted."),
        "messagesDeleted": _("The message is deleted, with what followed it."),
    }
