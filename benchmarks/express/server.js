// A plain relay, written the usual way: check the token, store the question, read the history, pass on each
// piece as it comes, store the answer at the end. It keeps nothing while an answer runs, and does not
// outlive its reader: what the benchmark compares with, not something to run.
'use strict';
const { randomUUID } = require('node:crypto');
const express = require('express');
const jwt = require('jsonwebtoken');
const { Pool } = require('pg');

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
const HISTORY = Number(process.env.HISTORY_LIMIT || 20);
const app = express();
app.use(express.json({ limit: '1mb' }));

app.use((req, res, next) => {
  try {
    const token = (req.headers.authorization || '').replace(/^Bearer /, '');
    req.userId = jwt.verify(token, process.env.JWT_SECRET, { algorithms: ['HS256'] }).user_id;
    next();
  } catch {
    res.status(401).json({ error: '未登录' });
  }
});

const send = (res, event, data) => res.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);

app.post('/api/chat/stream', async (req, res) => {
  const { message, provider, model } = req.body;
  const configs = await pool.query(
    'SELECT base_url, api_key FROM provider_configs WHERE user_id = $1 AND provider = $2', [req.userId, provider]);
  if (configs.rows.length === 0) return res.status(400).json({ error: '未配置该供应商' });
  const config = configs.rows[0];

  let sessionId = req.body.sessionId;
  let title = message.slice(0, 50);
  if (sessionId) {
    const found = await pool.query(
      'SELECT title FROM chat_sessions WHERE id = $1 AND user_id = $2', [sessionId, req.userId]);
    if (found.rows.length === 0) return res.status(404).json({ error: '会话不存在' });
    title = found.rows[0].title;
  } else {
    sessionId = randomUUID();
    await pool.query(
      'INSERT INTO chat_sessions (id, user_id, title, provider, model) VALUES ($1, $2, $3, $4, $5)',
      [sessionId, req.userId, title, provider, model]);
  }
  await pool.query(
    "INSERT INTO messages (id, session_id, role, content) VALUES ($1, $2, 'user', $3)",
    [randomUUID(), sessionId, message]);
  const history = await pool.query(
    'SELECT role, content FROM messages WHERE session_id = $1 ORDER BY created_at DESC LIMIT $2',
    [sessionId, HISTORY]);

  const messageId = randomUUID();
  const startedAt = Date.now();
  res.setHeader('Content-Type', 'text/event-stream; charset=utf-8');
  res.setHeader('Cache-Control', 'no-cache');
  res.flushHeaders();
  send(res, 'session', { sessionId, messageId, title });

  let content = '';
  try {
    const upstream = await fetch(`${config.base_url}/chat/completions`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${config.api_key}` },
      body: JSON.stringify({ model, messages: history.rows.reverse(), temperature: 0.7, stream: true }),
    });
    if (!upstream.ok) throw new Error(`the provider answered ${upstream.status}`);
    const decoder = new TextDecoder();
    let buffer = '';
    for await (const bytes of upstream.body) {
      buffer += decoder.decode(bytes, { stream: true });
      const lines = buffer.split('\n');
      buffer = lines.pop();
      for (const line of lines) {
        if (!line.startsWith('data: ') || line === 'data: [DONE]') continue;
        const piece = JSON.parse(line.slice(6)).choices?.[0]?.delta?.content;
        if (piece) {
          content += piece;
          send(res, 'message', { content: piece });
        }
      }
    }
    const responseTime = Date.now() - startedAt;
    await pool.query(
      "INSERT INTO messages (id, session_id, role, content, response_time) VALUES ($1, $2, 'assistant', $3, $4)",
      [messageId, sessionId, content, responseTime]);
    await pool.query('UPDATE chat_sessions SET updated_at = now() WHERE id = $1', [sessionId]);
    send(res, 'done', { messageId, responseTime });
  } catch (error) {
    send(res, 'error', { error: error.message });
  }
  res.end();
});

async function main() {
  await pool.query(`
    CREATE TABLE IF NOT EXISTS provider_configs (
      user_id integer, provider text, base_url text, api_key text, PRIMARY KEY (user_id, provider));
    CREATE TABLE IF NOT EXISTS chat_sessions (
      id uuid PRIMARY KEY, user_id integer, title text, provider text, model text,
      created_at timestamptz DEFAULT clock_timestamp(), updated_at timestamptz DEFAULT clock_timestamp());
    CREATE TABLE IF NOT EXISTS messages (
      id uuid PRIMARY KEY, session_id uuid REFERENCES chat_sessions ON DELETE CASCADE, role text, content text,
      response_time integer, created_at timestamptz DEFAULT clock_timestamp());
    CREATE INDEX IF NOT EXISTS messages_of_session ON messages (session_id, created_at);`);
  for (let user = 1; user <= Number(process.env.USERS); user++) {
    await pool.query(
      'INSERT INTO provider_configs VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
      [user, 'custom', process.env.PROVIDER_URL, 'a-key']);
  }
  const server = app.listen(Number(process.env.PORT), '127.0.0.1', 4096, () => console.log('ready'));
  process.on('SIGTERM', () => { server.closeAllConnections(); process.exit(0); });
}

main();
