// Markup that is still being written, shown as what it will most likely be.
//
// What may yet turn into something else is held back for the moment, and what
// is open is closed, so that nothing on the screen has to be taken back.

import { readable } from "./syntax.js";

// No pattern here may read a place in two ways and then fail: a model's text is hostile, and each
// such place would double the work.
const QUOTED = /^[ \t>]+/;
const ONLY_MARKUP = /^(?:[-*+_=~`#|:>]+|\d{1,9}[.)]?|\\[[(]?|\$\$?)[ \t]*$/;
const FENCE_OPENS = /^(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*(?:```+[^`]*$|~~~)/;
const REFERENCE = /^ {0,3}\[[^\]]+\]:.*$/;
const CLOSING = { "\\(": "\\)", "\\[": "\\]", $$: "$$" };
const ROW = /^ {0,3}\|/;
// The line below a table's first row, which need not begin with a bar.
const BELOW_FIRST_ROW = /^[ \t>]*[-:|][-:| \t]*$/;
const ROW_OVER = /(?<!\\)\|[ \t]*$|\n$/;
// A footnote's number, or a box to tick: until more has come, it may still be a link.
const SHORT_LABEL = /^(?:\d+|[xX ]?)$/;

/** Return the part of a growing text that can be shown; the rest is a moment too young. */
export function settled(text) {
  let end = text.lastIndexOf("\n") + 1;
  const last = text.slice(end);
  const opens = /(?:^|\n)[ \t]*(?:\$\$|\\\[)\s*$/.exec(text);
  if (opens) return text.slice(0, opens.index + (text[opens.index] === "\n" ? 1 : 0));
  const above = end ? text.slice(text.lastIndexOf("\n", end - 2) + 1, end) : "";
  const young = onlyMarkup(last) || FENCE_OPENS.test(last) || REFERENCE.test(last);
  const held = last && (young || (above.includes("|") && BELOW_FIRST_ROW.test(last)));
  if (!held) end = text.length;
  return text.slice(0, beforeTable(text, end));
}

function onlyMarkup(line) {
  const rest = line.replace(QUOTED, "");
  return rest ? ONLY_MARKUP.test(rest) : line.includes(">");
}

/** A first row is a table only when the line below it is whole: until then, neither is shown. */
function beforeTable(text, end) {
  const whole = text.lastIndexOf("\n", end - 1) + 1;
  let start = ROW.test(text.slice(whole, end)) ? whole : -1;
  let rows = start < 0 ? 0 : 1;
  for (let line = whole; line > 0 && rows < 3; ) {
    const above = text.lastIndexOf("\n", line - 2) + 1;
    if (!ROW.test(text.slice(above, line))) break;
    [line, start] = [above, above];
    rows += 1;
  }
  const complete = whole === end ? rows : rows - 1;
  return rows > 0 && rows < 3 && complete < 2 ? start : end;
}

/** Teach the parser to close what is open at the end of a text that grows (`env.growing`). */
export function extend(parser) {
  parser.core.ruler.before("inline", "mend", (state) => {
    if (!state.env.growing) return;
    const token = lastOpen(state.tokens, state.src);
    if (!token) return;
    token.content = closed(token.content, state.env.references ?? {});
    state.env.open = token.children;
  });
  parser.inline.ruler2.before("balance_pairs", "mend", (state) => {
    if (state.env.open === state.tokens) pair(state);
  });
}

/** Return the last text of a document, where it reaches its very end. */
function lastOpen(tokens, source) {
  const lines = source.split("\n").length - 1;
  const over = ROW_OVER.test(source);
  let row = false;
  for (let index = tokens.length - 1; index >= 0; index -= 1) {
    const token = tokens[index];
    row ||= token.type === "tr_close";
    if (row && over) return null;
    // A row that is being written is filled up with empty cells.
    const filling = row && (token.type === "td_open" || (token.type === "inline" && !token.content));
    if (token.nesting === -1 || filling) continue;
    if (token.type !== "inline") return null;
    return (token.map?.[1] ?? lines) >= lines ? token : null;
  }
  return null;
}

function closed(text, references) {
  const code = openCode(text);
  if (code) {
    const said = text.slice(code.at + code.length).replace(/(?<!`)`+$/, "");
    return said.trim() ? text.slice(0, code.at + code.length) + said + "`".repeat(code.length) : text.slice(0, code.at);
  }
  const formula = openFormula(text);
  if (formula) return formula;
  return text
    .replace(/!?\[([^[\]]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\([^()\s]*|\s[^"'()]*["')]?|\s+["'(][^"'()]*["')]?)?$/, "$1")
    .replace(/!?\[([^[\]]*)\]?$/, (whole, label) => {
      if (label.trim().toLowerCase().toUpperCase() in references) return whole;
      return SHORT_LABEL.test(label) ? "" : label;
    })
    .replace(/<((?:https?:|mailto:)[^\s<>]*)$/, "$1")
    .replace(/&#?\w{0,31}$/, "")
    .replace(/(^|[^\\])((?:\\\\)*)\\[[(]?$/, "$1$2")
    .replace(/(?<![~\\])~$|!$/, "");
}

/** Close a formula that has begun and not ended; what nothing stands in yet is left out. */
function openFormula(text) {
  const said = text.replace(/\\$/, "");
  const part = lastPart(said);
  const at = openingIn(part);
  if (at >= 0) {
    const start = said.slice(0, at);
    const opening = said.slice(at, at + 2);
    const formula = readable(part.slice(at + 2));
    return formula.trim() ? start + opening + formula + CLOSING[opening] : start;
  }
  const single = /(?:^|[^A-Za-z0-9$\\])(\$(?:[A-Za-z\\][^$\n]{0,200})?)$/.exec(said);
  if (!single) return null;
  if (dollars(said.slice(0, said.length - single[1].length))) return null;
  const formula = readable(single[1].slice(1));
  const start = said.slice(0, said.length - single[1].length);
  return formula ? `${start}$${formula}$` : start;
}

/** Return where the first formula begins after which none ends; -1 where there is none. */
function openingIn(text) {
  const begins = /\\[([]|\$\$/g;
  begins.lastIndex = Math.max(0, ...["\\)", "\\]", "$$"].map((end) => text.lastIndexOf(end) - 1));
  return begins.exec(text)?.index ?? -1;
}

/** Leave out the formulas that have ended. */
function lastPart(text) {
  const begins = /\\[([]|\$\$/g;
  const endless = new Set();
  let [said, from] = ["", 0];
  for (let found = begins.exec(text); found; found = begins.exec(text)) {
    const { 0: opening, index } = found;
    const end = endless.has(opening) ? -1 : text.indexOf(CLOSING[opening], index + 2);
    if (end < 0) {
      endless.add(opening);
      continue;
    }
    said += text.slice(from, index) + " ".repeat(end + 2 - index);
    from = begins.lastIndex = end + 2;
  }
  return said + text.slice(from);
}

const dollars = (text) => /\$\S[^$\n]*$/.test(lastPart(text).replace(/\$[^$\n]+\$/g, ""));

/** Find a code span that has begun and not ended. */
function openCode(text) {
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    if (text[at] !== "`" || text[at - 1] === "\\") continue;
    const runs = /`+/g;
    runs.lastIndex = at;
    const { length } = runs.exec(text)[0];
    let end = runs.exec(text);
    while (end && end[0].length !== length) end = runs.exec(text);
    if (!end) return { at, length };
    at = runs.lastIndex - 1;
  }
  return null;
}

/** Close emphasis that is open, and hide markers after which nothing has come yet. */
function pair(state) {
  const runs = [];
  for (const delimiter of state.delimiters) {
    const last = runs.at(-1);
    if (last && last.marker === delimiter.marker && last.end + 1 === delimiter.token) {
      last.members.push(delimiter);
      last.end += 1;
    } else {
      const { marker, open, close, word, token } = delimiter;
      runs.push({ marker, open, close, word, members: [delimiter], end: token });
    }
  }
  const opened = [];
  for (const run of runs) {
    run.left = run.members.length;
    const partner = run.close ? opened.findLastIndex((one) => one.marker === run.marker) : -1;
    const atEnd = run.end === state.tokens.length - 1 && !state.pending;
    if (partner >= 0 && !(atEnd && run.left < opened[partner].left)) {
      const used = Math.min(run.left, opened[partner].left);
      opened[partner].left -= used;
      run.left -= used;
      opened.length = opened[partner].left ? partner + 1 : partner;
    }
    if (atEnd && run.left) hide(state, run);
    else if (run.open && !run.word && run.left) opened.push(run);
  }
  for (const run of opened.reverse()) {
    for (const { marker } of run.members.slice(0, run.left)) {
      const token = state.push("text", "", 0);
      token.content = String.fromCharCode(marker).repeat(marker === 0x7e ? 2 : 1);
      const length = run.members.length;
      state.delimiters.push({ marker, length, token: state.tokens.length - 1, end: -1, open: false, close: true });
    }
  }
}

function hide(state, run) {
  const hidden = new Set(run.members.slice(run.members.length - run.left));
  for (const { token } of hidden) state.tokens[token].content = "";
  state.delimiters = state.delimiters.filter((delimiter) => !hidden.has(delimiter));
}
