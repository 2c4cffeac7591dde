// What the parser is taught beyond CommonMark; chat/markdown.py teaches the server the same.

// Chinese, Japanese and Korean are written without spaces about words.
const WIDE = /[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\u{20000}-\u{3ffff}]/u;

export function extend(parser) {
  const { isMdAsciiPunct, isPunctChar, isWhiteSpace } = parser.utils;

  const kind = (character) => {
    const code = character.charCodeAt(0);
    if (isWhiteSpace(code)) return { space: true };
    const punctuation = isMdAsciiPunct(code) || isPunctChar(character);
    const wide = WIDE.test(character);
    return { punctuation: punctuation && !wide, wide, edge: punctuation || wide };
  };

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
