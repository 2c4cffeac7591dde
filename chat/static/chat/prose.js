// Markdown while it is being written.
//
// A block that can no longer change is left alone for good. Only what follows
// the last of them, the tail, is parsed again, at most once a frame.

import { addButton, grow, paint } from "./code.js";
import { all, one } from "./dom.js";
import * as formulas from "./formulas.js";
import { build, parse } from "./markdown.js";
import { settled } from "./mend.js";
import { patch } from "./patch.js";

// What begins a table is told apart from a paragraph by its second line.
const LINES_TO_TELL = 2;
const INSIDE = /^(?:ul|ol|li|blockquote)$/;
const BLOCK = /^(?:ul|ol|li|blockquote|p|h\d|figure|div|hr)$/;
const FENCE = /^(`{3,}|~{3,})([^`\n]*)\n/;

export class LiveProse {
  /** `place` is an empty element. */
  constructor(place) {
    this.place = place;
    this.tail = "";
    this.references = Object.create(null);
    this.last = null; // the last element that is left alone
    this.fence = null; // the code that the tail consists of
    this.work = { parsed: 0, most: 0, draws: 0 };
  }

  append(piece) {
    this.tail += piece;
  }

  /** Show what has come; `settle` also shows what may yet turn into something else. */
  draw({ settle = false } = {}) {
    if (this.#growFence()) return;
    // Half of a line break is none yet.
    const text = this.tail.replace(/\r\n|\r(?!$)/g, "\n").replace(/\r$/, "");
    if (text !== this.tail) this.tail = text + (this.tail.endsWith("\r") ? "\r" : "");
    const { tokens, nodes } = this.#show(settle ? text : settled(text), true);
    this.#leaveAlone(tokens, nodes, text);
  }

  /** Show the whole as it is, now that nothing will be added. */
  finish() {
    this.fence = null;
    this.#show(this.tail, false);
    all("figure.code", this.place).forEach(paintOnce);
    formulas.settle(this.place);
  }

  #show(text, growing) {
    this.work.draws += 1;
    this.work.parsed += text.length;
    this.work.most = Math.max(this.work.most, text.length);
    const tokens = parse(text, { growing, references: Object.create(this.references) });
    patch(this.place, build(tokens), this.last ? this.last.nextSibling : this.place.firstChild);
    const nodes = [];
    for (let node = this.last ? this.last.nextSibling : this.place.firstChild; node; node = node.nextSibling) {
      nodes.push(node);
      for (const block of node.matches("figure.code") ? [node] : all("figure.code", node)) addButton(block);
    }
    for (const node of nodes) formulas.decorate(node, { growing });
    this.#mark(growing);
    return { tokens, nodes };
  }

  /** Mark the block in which the next words will come. */
  #mark(growing) {
    let block = growing ? this.place.lastElementChild : null;
    while (block && INSIDE.test(block.localName)) {
      const inner = block.lastElementChild;
      if (!inner || !BLOCK.test(inner.localName) || inner !== block.lastChild) break;
      block = inner;
    }
    if (this.marked !== block) this.marked?.removeAttribute("data-caret");
    block?.setAttribute("data-caret", "");
    this.marked = block;
  }

  #leaveAlone(tokens, nodes, text) {
    const blocks = tokens.filter((token) => token.level === 0 && token.nesting >= 0);
    const lines = text.split("\n").length - 1;
    let count = 0;
    for (let index = 1; index < blocks.length; index += 1) {
      // A formula without its end may yet turn out to be none.
      if (blocks[index].map[0] + LINES_TO_TELL <= lines && !blocks[index].meta?.open) count = index;
    }
    if (count) {
      const at = startOfLine(text, blocks[count].map[0]);
      const done = text.slice(0, at);
      if (done.includes("]:")) parse(done, { references: this.references });
      this.tail = this.tail.slice(at);
      this.last = nodes[count - 1];
      for (const node of nodes.slice(0, count)) {
        formulas.settle(node);
        for (const block of node.matches("figure.code") ? [node] : all("figure.code", node)) paintOnce(block);
      }
    }
    const opening = blocks.length - count === 1 && blocks[count].type === "fence" ? FENCE.exec(this.tail) : null;
    if (opening) this.fence = { mark: opening[1], block: nodes[count], from: opening[0].length, shown: opening[0].length };
  }

  /** Code that goes on is added to its block as it is; returns false when it may have ended. */
  #growFence() {
    const { fence, tail } = this;
    if (!fence) return false;
    const [mark] = fence.mark;
    const end = new RegExp(`^ {0,3}\\${mark}{${fence.mark.length},}[ \\t]*$`, "m");
    const lineStart = tail.lastIndexOf("\n", fence.shown - 1) + 1;
    const fresh = tail.slice(Math.max(lineStart, fence.from));
    if (tail.includes("\r", fence.shown) || tail.includes("\0", fence.shown) || end.test(fresh)) {
      this.fence = null;
      return false;
    }
    const held = new RegExp(`(?:^|\\n) {0,3}\\${mark}+$`).exec(fresh);
    const until = held ? tail.length - fresh.length + held.index + (fresh[held.index] === "\n" ? 1 : 0) : tail.length;
    this.work.draws += 1;
    this.work.parsed += fresh.length;
    if (until > fence.shown) {
      grow(fence.block, tail.slice(fence.from, until));
      fence.shown = until;
    }
    return true;
  }
}

function paintOnce(block) {
  if (block.painted === one("code", block).textContent.length) return;
  block.painted = one("code", block).textContent.length;
  paint(block);
}

function startOfLine(text, line) {
  let at = 0;
  for (let number = 0; number < line; number += 1) at = text.indexOf("\n", at) + 1;
  return at;
}
