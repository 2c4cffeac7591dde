"""The chosen branch of a conversation, kept as a flag on its messages.

Listing and sending the branch is then an ordinary indexed query; only choosing
another one, which is rare, looks at the whole tree.
"""

from uuid import UUID

from chat.models import Message

BATCH = 500


def choose_path_to(session_id: UUID, message_id: UUID | None) -> None:
    """Make the chosen branch end with this message; `None` chooses nothing at all."""
    tree = _tree(session_id)
    _choose(session_id, _path(tree, message_id))


def choose_branch_of(session_id: UUID, message_id: UUID | None) -> None:
    """Choose the branch that holds this message, down to its newest end."""
    tree = _tree(session_id)
    _choose(session_id, _path(tree, _newest_end(tree, message_id)))


def branch_of(session_id: UUID, message_id: UUID) -> list[UUID]:
    """Return the messages of the branch that holds this one, down to its newest end, in order."""
    tree = _tree(session_id)
    return sorted(_path(tree, _newest_end(tree, message_id)))


def below(session_id: UUID, message_id: UUID) -> list[UUID]:
    """Return a message's id and those of all that hang below it, parents first."""
    return _below(_tree(session_id), message_id)


def _tree(session_id: UUID) -> dict[UUID, UUID | None]:
    return dict(Message.objects.filter(session_id=session_id).values_list("id", "parent_id"))


def _below(tree: dict[UUID, UUID | None], message_id: UUID | None) -> list[UUID]:
    found = {message_id}
    # A child's id is greater than its parent's, so one pass in order finds all.
    for child, parent in sorted(tree.items()):
        if parent in found:
            found.add(child)
    return sorted(one for one in found if one is not None)


def _newest_end(tree: dict[UUID, UUID | None], message_id: UUID | None) -> UUID | None:
    """Return the newest of all below a message, so that of two ways on the one last taken is chosen."""
    return max(_below(tree, message_id), default=None)


def _path(tree: dict[UUID, UUID | None], leaf: UUID | None) -> set[UUID]:
    path = set()
    while leaf is not None:
        path.add(leaf)
        leaf = tree.get(leaf)
    return path


def _choose(session_id: UUID, path: set[UUID]) -> None:
    messages = Message.objects.filter(session_id=session_id)
    chosen = set(messages.chosen().values_list("id", flat=True))
    for ids, flag in ((chosen - path, False), (path - chosen, True)):
        changed = sorted(ids)
        for start in range(0, len(changed), BATCH):
            messages.filter(id__in=changed[start : start + BATCH]).update(on_branch=flag)
