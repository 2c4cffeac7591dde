"""A provider that needs no key and no network: it answers out of its own head.

For a first look and for tests. It says what it was asked in the language of the
question, piece by piece at the pace of a real model. A word with a slash in the
question changes what it does:

    /long N     an answer of N paragraphs (up to 500)
    /slow       one piece every half second
    /fast       no pause between the pieces
    /reason     some visible reasoning first (the model `demo-reasoning` always does)
    /fail       breaks off in the middle, as an overloaded provider would
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from itertools import islice

from ..base import (
    ChatRequest,
    Finished,
    FinishReason,
    ModelInfo,
    ReasoningDelta,
    StreamPart,
    TextDelta,
    Usage,
)
from ..errors import ProviderOverloaded
from ..estimates import estimate_tokens

MODELS = ("demo", "demo-reasoning")
PIECE_SECONDS = 0.02
_PIECE = re.compile(r"\s*[\u3000-\u9fff\uff00-\uffef]{1,2}|\s*[^\s\u3000-\u9fff\uff00-\uffef]+|\s+")
_DIRECTIVE = re.compile(r"(?<!\S)/(long|slow|fast|reason|fail)\b(?:\s+(\d+))?")
_CJK = re.compile(r"[\u4e00-\u9fff]")


class DemoAdapter:
    async def stream(self, request: ChatRequest) -> AsyncGenerator[StreamPart, None]:
        messages = request.messages[:-2] if request.continues else request.messages
        question = next((m.content for m in reversed(messages) if m.role == "user"), "")
        asked = {match[1]: int(match[2] or 0) for match in _DIRECTIVE.finditer(question)}
        words = _DIRECTIVE.sub("", question).strip()
        thought = reasoning(words) if "reason" in asked or request.model == MODELS[1] else ""
        text = answer(words, turns=len(messages), paragraphs=min(asked.get("long", 0), 500))
        if request.continues:
            # What it had thought and said, it need not say again, nor break off once more.
            thought, text = "", text.removeprefix(request.messages[-2].content)
            asked.pop("fail", None)
        pause = 0.5 if "slow" in asked else 0 if "fast" in asked else PIECE_SECONDS
        most = request.max_output_tokens

        spoken = 0
        pieces: list[ReasoningDelta | TextDelta] = [
            ReasoningDelta(piece) for piece in _PIECE.findall(thought)
        ]
        pieces += [TextDelta(piece) for piece in _PIECE.findall(text)]
        for piece in islice(pieces, most):
            if "fail" in asked and spoken == len(pieces) // 2:
                raise ProviderOverloaded("the demo was asked to fail")
            await asyncio.sleep(pause)
            yield piece
            spoken += 1
        yield Usage(
            input_tokens=sum(estimate_tokens(message.content) for message in request.messages),
            output_tokens=spoken,
            reasoning_tokens=min(spoken, len(_PIECE.findall(thought))),
            estimated=True,
        )
        yield Finished(FinishReason.STOP if spoken == len(pieces) else FinishReason.LENGTH)

    async def list_models(self) -> list[ModelInfo]:
        return [ModelInfo(id=model) for model in MODELS]


def reasoning(question: str) -> str:
    if _CJK.search(question):
        return f"用户说的是:“{_short(question)}”。先看清问题,再分几步回答。"
    return f"The question is: {_short(question)!r}. I read it first, then answer it in a few steps."


def answer(question: str, *, turns: int, paragraphs: int = 0) -> str:
    """Return the whole answer; `paragraphs` asks for that many numbered ones instead."""
    chinese = bool(_CJK.search(question))
    if paragraphs:
        line = (
            "第 {} 段:这是演示模型写的文字,用来看长回答怎样一点一点地出现。"
            if chinese
            else "Paragraph {}: text of the demo model, to see how a long answer grows bit by bit."
        )
        return "\n\n".join(line.format(number) for number in range(1, paragraphs + 1))
    return (_CHINESE if chinese else _ENGLISH).format(question=_short(question) or "…", turns=turns)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:200] + "…"


_ENGLISH = """You said: *{question}*

I am the **demo model**. I run inside this server, so there is no key to store and nothing leaves \
your machine. What you see is real streaming all the same: every word travels the way an answer of any \
other provider does.

What you can try now:

1. Ask something in Chinese, and the answer comes in Chinese.
2. Write `/long 40` and reload the page while the answer grows: nothing is lost.
3. Write `/reason` to see reasoning apart from the answer, or `/fail` to see an answer break off.

```python
for piece in answer:
    print(piece, end="", flush=True)
```

This conversation has {turns} message(s) so far. For a model that knows things, open the settings and \
store a provider.
"""
_CHINESE = """你说的是:*{question}*

我是**演示模型**,就运行在这台服务器里:不需要密钥,也没有任何内容离开这台机器。\
不过你看到的流式输出是真的,每个字走的路和其他供应商的回答一样。

现在可以试试:

1. 用英文提问,我就用英文回答。
2. 输入 `/long 40`,在回答增长时刷新页面:什么也不会丢。
3. 输入 `/reason` 可以看到与回答分开的思考过程,输入 `/fail` 可以看到中途断开的回答。

```python
for piece in answer:
    print(piece, end="", flush=True)
```

到现在为止,这个会话有 {turns} 条消息。想用真正有知识的模型,请打开设置,添加一个供应商。
"""
