// What the parser is taught beyond CommonMark; chat/markdown.py teaches the server the same.

// Chinese, Japanese and Korean are written without spaces about words.
const WIDE = /[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\u{20000}-\u{3ffff}]/u;

// TeX between dollars or escaped brackets. What is longer is no formula.
const CLOSING = { "\\(": "\\)", "\\[": "\\]", $$: "$$" };
const BLOCK_CLOSING = { "\\[": "\\]", $$: "$$" };
const MOST_CHARS = 2000;
const MOST_LINES = 100;

// The parts of a formula, and those of them that say nothing at its end. Each is read in one way only.
const PARTS = /\\(?:begin|end|left|right|text)\{[a-z]*|\\[A-Za-z]*|[^]/g;
const HALF = /^[\\_^&$\s]/;

/** Return the formula that begins at `pos`, and where it ends. */
export function formulaIn(text, pos, posMax) {
  const opening = text.slice(pos, pos + 2);
  const limit = Math.min(posMax, pos + MOST_CHARS);
  const within = text.slice(pos + 2, limit);
  if (CLOSING[opening]) {
    const at = within.indexOf(CLOSING[opening]);
    const content = at < 0 ? "" : within.slice(0, at).trim();
    return content ? { content, end: pos + 2 + at + 2 } : null;
  }
  if (opening[0] !== "$" || /^\$[\s$]/.test(opening) || /[A-Za-z0-9$\\]/.test(text[pos - 1] ?? " ")) return null;
  const found = /^((?:\\[^\n]|[^$\\\n])+)\$(?![A-Za-z0-9$])/.exec(text.slice(pos + 1, limit));
  if (!found || /\s$/.test(found[1])) return null;
  return { content: found[1], end: pos + 1 + found[0].length };
}

/** Leave out what is half written at the end of a formula, and close its braces. */
export function readable(source) {
  let end = 0;
  for (const { 0: token, index } of source.matchAll(PARTS)) {
    if (!HALF.test(token)) end = index + token.length;
  }
  const said = source.slice(0, end);
  const open = [...said.matchAll(/\\[{}]|([{}])/g)].reduce((sum, { 1: brace }) => sum + (brace === "{") - (brace === "}"), 0);
  return said + "}".repeat(Math.max(0, open));
}

export function extend(parser) {
  const { isMdAsciiPunct, isPunctChar, isWhiteSpace } = parser.utils;

  const kind = (character) => {
    const code = character.charCodeAt(0);
    if (isWhiteSpace(code)) return { space: true };
    const punctuation = isMdAsciiPunct(code) || isPunctChar(character);
    const wide = WIDE.test(character);
    return { punctuation: punctuation && !wide, wide, edge: punctuation || wide };
  };

  // Nobody can tick the boxes of a list of tasks here, so they are signs.
  parser.core.ruler.before("inline", "tasks", ({ tokens }) => {
    tokens.forEach((token, index) => {
      if (token.type !== "inline" || tokens[index - 2]?.type !== "list_item_open") return;
      const [, tick] = /^\[([ xX])\][ \t\n]/.exec(token.content) ?? [];
      if (tick) token.content = (tick === " " ? "\u2610" : "\u2611") + token.content.slice(3);
    });
  });

  parser.inline.ruler.before("escape", "math", (state, silent) => {
    const found = formulaIn(state.src, state.pos, state.posMax);
    if (!found) return false;
    if (!silent) state.push("math_inline", "math", 0).content = found.content;
    state.pos = found.end;
    return true;
  });

  parser.block.ruler.before(
    "fence",
    "math",
    (state, startLine, endLine, silent) => {
      const lineOf = (line) => state.src.slice(state.bMarks[line] + state.tShift[line], state.eMarks[line]);
      if (state.sCount[startLine] - state.blkIndent >= 4) return false;
      const first = lineOf(startLine);
      const closing = BLOCK_CLOSING[first.slice(0, 2)];
      if (!closing) return false;
      // Every line may ask this, for several rules: what one has looked through, the next need not.
      const known = (state.env.formulaLines ??= new Map());
      const view = [closing, state.level, state.blkIndent, endLine].join(" ");
      const [begun, until] = known.get(view) ?? [0, 0];
      let line = startLine;
      let rest = first.slice(2);
      let at = rest.indexOf(closing);
      while (at < 0) {
        line = line === startLine && begun <= line && line < until ? until : line + 1;
        if (line >= endLine || line - startLine > MOST_LINES) break;
        if (state.sCount[line] < state.blkIndent) break;
        rest = lineOf(line);
        if (!rest.trim()) break;
        at = rest.indexOf(closing);
      }
      if (line > startLine) known.set(view, [startLine, line]);
      const closed = at >= 0;
      // While it is written, a formula goes on to the end.
      if (closed ? rest.slice(at + 2).trim() : !(state.env.growing && line >= endLine)) return false;
      const lines = line > startLine ? [first.slice(2)] : [];
      for (let within = startLine + 1; within < line; within += 1) lines.push(lineOf(within));
      if (closed) lines.push(rest.slice(0, at));
      const content = lines.join("\n").trim();
      if (!content) return false;
      if (silent) return true;
      state.line = closed ? line + 1 : line;
      const token = state.push("math_block", "math", 0);
      token.content = closed ? content : readable(content);
      token.map = [startLine, state.line];
      token.meta = { open: !closed };
      return true;
    },
    { alt: ["paragraph", "reference", "blockquote", "list"] },
  );

  // The parser's own rule forgets closing ticks that it has seen while it looked ahead for a link.
  parser.inline.ruler.at("backticks", (state, silent) => {
    const { src, pos, posMax } = state;
    if (src[pos] !== "`") return false;
    let end = pos;
    while (end < posMax && src[end] === "`") end += 1;
    const length = end - pos;
    state.ticks ??= ticks(src);
    const closing = firstFrom(state.ticks.get(length) ?? [], end);
    if (closing === undefined || closing + length > posMax) {
      if (!silent) state.pending += src.slice(pos, end);
      state.pos = end;
      return true;
    }
    if (!silent) {
      const token = state.push("code_inline", "code", 0);
      token.content = src.slice(end, closing).replaceAll("\n", " ").replace(/^ (.+) $/, "$1");
    }
    state.pos = closing + length;
    return true;
  });

  parser.inline.ruler.at("emphasis", (state, silent) => {
    const marker = state.src.charCodeAt(state.pos);
    if (silent || (marker !== 0x5f && marker !== 0x2a)) return false;
    const { open, close, length, word } = flanks(state, marker);
    for (let count = 0; count < length; count += 1) {
      const token = state.push("text", "", 0);
      token.content = String.fromCharCode(marker);
      state.delimiters.push({ marker, length, token: state.tokens.length - 1, end: -1, open, close, word });
    }
    state.pos += length;
    return true;
  });

  /** Tell whether a run of markers may open or close, by what stands on its sides. */
  function flanks(state, marker) {
    const { src, pos } = state;
    let end = pos;
    while (end < state.posMax && src.charCodeAt(end) === marker) end += 1;
    // By code points, for the rarer characters are two units long.
    const before = kind(pos > 0 ? [...src.slice(Math.max(0, pos - 2), pos)].at(-1) : " ");
    const after = kind(end < state.posMax ? String.fromCodePoint(src.codePointAt(end)) : " ");
    const left = !after.space && (!after.punctuation || before.space || before.edge);
    const right = !before.space && (!before.punctuation || after.space || after.edge);
    const anywhere = marker === 0x2a;
    return {
      open: left && (anywhere || !right || Boolean(before.edge)),
      close: right && (anywhere || !left || Boolean(after.edge)),
      length: end - pos,
      word: !before.space && !before.edge,
    };
  }
}

/** Return where runs of ticks begin, by their length. */
function ticks(text) {
  const found = new Map();
  for (const { 0: run, index } of text.matchAll(/`+/g)) {
    if (!found.has(run.length)) found.set(run.length, []);
    found.get(run.length).push(index);
  }
  return found;
}

function firstFrom(places, least) {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (places[middle] < least) low = middle + 1;
    else high = middle;
  }
  return places[low];
}
