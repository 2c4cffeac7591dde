"""Log lines that help the operator and give nothing away."""

import logging
import traceback
from types import TracebackType

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LineFormatter(logging.Formatter):
    """One line per record; an exception is told by its class and the places it passed.

    Its message and the local variables stay out: they may hold a key or what somebody wrote.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", " | ")

    def formatException(self, ei: ExcInfo) -> str:
        kind, _, trace = ei
        frames = traceback.extract_tb(trace)[-12:]
        places = " < ".join(
            f"{'/'.join(frame.filename.rsplit('/', 2)[-2:])}:{frame.lineno} {frame.name}"
            for frame in reversed(frames)
        )
        return f"{kind.__name__ if kind else 'unknown'} at {places}"

    def formatStack(self, stack_info: str) -> str:
        return ""
