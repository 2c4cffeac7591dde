"""Log lines that help the operator and give nothing away."""

import logging
import traceback
from types import TracebackType

from chatproject import request_ids

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

# Nothing that a client has sent may begin a new line, or steer the terminal that shows it.
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_ESCAPES |= {0x2028: "\\u2028", 0x2029: "\\u2029", ord("\n"): " | "}


class WithoutQuery(logging.Filter):
    """Cuts the query off the paths of uvicorn's access log: it may hold what somebody searched for."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(arg.partition("?")[0] if isinstance(arg, str) else arg for arg in record.args)
        return True


class LineFormatter(logging.Formatter):
    """One line per record; an exception is told by its class and the places it passed.

    Its message and the local variables stay out: they may hold a key or what somebody wrote.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record).translate(_ESCAPES)
        if request_id := request_ids.current():
            line += f" request_id={request_id}"
        # A half of a surrogate pair could not be written at all.
        return line.encode("utf-8", "backslashreplace").decode()

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
