"""Streaming chat as tutorials write it: one async view, the async ORM, a generator.

What the benchmark compares with, not something to run: the answer is lost when
its reader goes, and every open stream holds a thread and a database connection.
"""

import json
import time
from collections.abc import AsyncGenerator

import httpx
import jwt
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from .models import ChatSession, Message, ProviderConfig


def event(name: str, data: dict) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


@csrf_exempt
async def stream(request: HttpRequest) -> HttpResponseBase:
    try:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        claims = jwt.decode(token, settings.SECRET_KEY, algorithms=["HS256"])
        user = await User.objects.aget(pk=claims["user_id"])
    except (jwt.PyJWTError, User.DoesNotExist):
        return JsonResponse({"error": "未登录"}, status=401)
    data = json.loads(request.body)
    config = await ProviderConfig.objects.filter(user=user, provider=data["provider"]).afirst()
    if config is None:
        return JsonResponse({"error": "未配置该供应商"}, status=400)
    if data.get("sessionId"):
        session = await ChatSession.objects.filter(pk=data["sessionId"], user=user).afirst()
        if session is None:
            return JsonResponse({"error": "会话不存在"}, status=404)
    else:
        session = await ChatSession.objects.acreate(
            user=user, title=data["message"][:50], provider=data["provider"], model=data["model"]
        )
    await Message.objects.acreate(session=session, role="user", content=data["message"])
    newest = Message.objects.filter(session=session).order_by("-created_at")[: settings.HISTORY_LIMIT]
    history = [{"role": message.role, "content": message.content} async for message in newest]
    answer = Message(session=session, role="assistant")

    async def events() -> AsyncGenerator[str, None]:
        yield event(
            "session", {"sessionId": str(session.id), "messageId": str(answer.id), "title": session.title}
        )
        started_at = time.monotonic()
        try:
            async with (
                httpx.AsyncClient(timeout=120) as client,
                client.stream(
                    "POST",
                    f"{config.base_url}/chat/completions",
                    headers={"Authorization": f"Bearer {config.api_key}"},
                    json={
                        "model": data["model"],
                        "messages": history[::-1],
                        "temperature": 0.7,
                        "stream": True,
                    },
                ) as response,
            ):
                response.raise_for_status()
                async for line in response.aiter_lines():
                    if not line.startswith("data: ") or line == "data: [DONE]":
                        continue
                    choices = json.loads(line[6:])["choices"]
                    if choices and (piece := choices[0]["delta"].get("content")):
                        answer.content += piece
                        yield event("message", {"content": piece})
            answer.response_time = int((time.monotonic() - started_at) * 1000)
            await answer.asave(force_insert=True)
            await session.asave()
            yield event("done", {"messageId": str(answer.id), "responseTime": answer.response_time})
        except Exception as exc:
            yield event("error", {"error": str(exc)})

    return StreamingHttpResponse(events(), content_type="text/event-stream; charset=utf-8")


urlpatterns = [path("api/chat/stream", stream)]
