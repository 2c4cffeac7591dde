// One answer while it is being written.

import { announce, one } from "./dom.js";
import { fragment } from "./fragments.js";
import { grown } from "./reader.js";
import { text } from "./texts.js";

const WAITING_AFTER = 3;
const HELP_AFTER = 9;
// A finished paragraph is left alone from here on, so that the browser lays out only the last ones.
const BLOCK_CHARS = 2000;

export class LiveAnswer {
  /** `element` is the article of an answer, with whatever it has so far. */
  constructor(element) {
    this.element = element;
    this.content = one("[data-live]", element);
    this.details = one(".reasoning", element);
    this.reasoning = one(".reasoning-text", element);
    this.began = performance.now();
    this.thoughtFrom = null;
    this.pending = { reasoning: "", message: "" };
    this.frame = 0;
    const already = this.content.textContent;
    this.content.textContent = "";
    if (already) this.#write(already);
    this.clock = setInterval(() => this.#tick(), 1000);
  }

  receive(name, piece) {
    this.pending[name] += piece;
    this.#say("");
    this.frame ||= requestAnimationFrame(() => this.#draw());
  }

  /** Say in the answer's place that the page has lost the server for now. */
  cut() {
    this.#say(text("reconnecting"), { kept: true });
  }

  /** Replace what was streamed by the server's own rendering; what was streamed stays where that fails. */
  async finish(path, words) {
    clearInterval(this.clock);
    cancelAnimationFrame(this.frame);
    this.#draw();
    const open = this.details.open;
    let element = this.element;
    try {
      [element] = await fragment(path);
      const details = one(".reasoning", element);
      if (details) {
        details.open = open;
        if (this.thoughtFor) one("summary", details).textContent = text("thought", { seconds: this.thoughtFor });
      }
      this.element.replaceWith(element);
    } catch {
      element.removeAttribute("aria-busy");
      this.content.removeAttribute("data-live");
      one(".waiting", element)?.remove();
    }
    this.element = element;
    announce(words);
    grown();
    return element;
  }

  remove() {
    clearInterval(this.clock);
    cancelAnimationFrame(this.frame);
    this.element.remove();
  }

  #draw() {
    this.frame = 0;
    const { reasoning, message } = this.pending;
    this.pending = { reasoning: "", message: "" };
    if (reasoning) {
      this.thoughtFrom ??= performance.now();
      this.details.hidden = false;
      this.reasoning.append(reasoning);
    }
    if (message) {
      if (this.thoughtFrom !== null && this.thoughtFor === undefined) {
        this.thoughtFor = Math.max(1, Math.round((performance.now() - this.thoughtFrom) / 1000));
        one("summary", this.details).textContent = text("thought", { seconds: this.thoughtFor });
      }
      this.#write(message);
    }
    if (reasoning || message) grown();
  }

  #write(piece) {
    const last = this.content.lastElementChild;
    if (!last || (last.textContent.length > BLOCK_CHARS && last.textContent.endsWith("\n\n"))) {
      const block = document.createElement("div");
      block.append(document.createTextNode(piece));
      this.content.append(block);
      return;
    }
    const cut = last.textContent.length > BLOCK_CHARS ? piece.indexOf("\n\n") : -1;
    last.firstChild.appendData(cut < 0 ? piece : piece.slice(0, cut + 2));
    if (cut >= 0 && cut + 2 < piece.length) this.#write(piece.slice(cut + 2));
  }

  #tick() {
    const seconds = Math.round((performance.now() - this.began) / 1000);
    if (this.thoughtFrom !== null && this.thoughtFor === undefined) {
      const thinking = Math.round((performance.now() - this.thoughtFrom) / 1000);
      one("summary", this.details).textContent = text("thinkingFor", { seconds: thinking });
    } else if (!this.content.hasChildNodes() && seconds >= WAITING_AFTER) {
      this.#say(text(seconds >= HELP_AFTER ? "waitingLong" : "waiting", { seconds }));
    }
  }

  #say(words, { kept = false } = {}) {
    const place = one(".waiting-text", this.element);
    if (!place || (place.textContent === words && !kept)) return;
    place.textContent = words;
    one(".waiting", this.element).classList.toggle("shown", kept);
  }
}
