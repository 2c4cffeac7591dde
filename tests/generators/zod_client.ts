// Uses what openapi-zod-client generates: every answer is checked against its schema while the program runs.
import { isErrorFromAlias } from "@zodios/core";

import { api as endpoints, createApiClient, schemas } from "./generated/zod";

async function main(): Promise<void> {
  const credentials = { username: process.env.NAME!, password: process.env.PASSWORD! };
  const api = createApiClient(process.env.BASE_URL!);
  const { access } = await api.register(credentials);
  const options = { headers: { Authorization: `Bearer ${access}` } };

  const answer = await api.streamAnswer({ message: "Hello", provider: "demo", model: "demo", stream: false }, options);
  const { sessions } = await api.listSessions(options);
  const { messages } = await api.listMessages({ params: { sessionId: answer.sessionId }, ...options });
  const refused = await api.register(credentials).catch((error) => error);

  const events = JSON.parse(process.env.EVENTS!).map((event: unknown) => schemas.StreamEvent.parse(event));
  console.log(
    JSON.stringify({
      refused: isErrorFromAlias(endpoints.api, "register", refused) && refused.response.data.code,
      titles: sessions.map((session) => session.title),
      answer: answer.content,
      messages: messages.map((message) => [message.role, message.content]),
      streamed: events.map((event: any) => (event.type === "message" ? event.content : "")).join(""),
      nonsense: schemas.StreamEvent.safeParse({ type: "other" }).success,
    }),
  );
}

void main();
