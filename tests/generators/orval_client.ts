// Uses what orval generates: types that the compiler checks, and one function per operation over fetch.
import {
  type StreamEvent,
  deleteSession,
  listMessages,
  listSessions,
  login,
  register,
  streamAnswer,
} from "./generated/orval";

declare const process: { env: Record<string, string | undefined> };

function text(events: StreamEvent[]): string {
  // Only a union that is told apart by `type` lets the compiler see `content` here.
  return events.map((event) => (event.type === "message" ? event.content : "")).join("");
}

async function main(): Promise<void> {
  const credentials = { username: process.env.NAME!, password: process.env.PASSWORD! };
  const registered = await register(credentials);
  const again = await register(credentials);
  const signedIn = await login(credentials);
  if (registered.status !== 201 || again.status !== 400 || signedIn.status !== 200) throw new Error("sign-in");
  const options = { headers: { Authorization: `Bearer ${signedIn.data.access}` } };

  const answer = await streamAnswer({ message: "Hello", provider: "demo", model: "demo", stream: false }, options);
  if (answer.status !== 200 || typeof answer.data === "string") throw new Error("no answer");
  const sessions = await listSessions(undefined, options);
  const messages = await listMessages(answer.data.sessionId, undefined, options);
  if (sessions.status !== 200 || messages.status !== 200) throw new Error("not listed");

  const events: StreamEvent[] = JSON.parse(process.env.EVENTS!);
  const refused = await deleteSession("none", undefined, options);
  console.log(
    JSON.stringify({
      refused: again.data.code,
      missing: refused.status === 404 && refused.data.code,
      titles: sessions.data.sessions.map((session) => session.title),
      answer: answer.data.content,
      messages: messages.data.messages.map((message) => [message.role, message.content]),
      streamed: text(events),
    }),
  );
}

void main();
