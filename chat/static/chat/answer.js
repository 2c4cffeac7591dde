// One answer while it is being written.

import { announce, one } from "./dom.js";
import { fragment } from "./fragments.js";
import { patch, shape } from "./patch.js";
import { LiveProse } from "./prose.js";
import { grown } from "./reader.js";
import { text } from "./texts.js";

const WAITING_AFTER = 3;
const HELP_AFTER = 9;
// What is held back because it may yet turn into something else is shown after this silence.
const SETTLED_AFTER = 400;
// A frame has 16 ms, and the page has other things to do in it.
const DRAW_MILLISECONDS = 8;

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
    this.restUntil = 0;
    const already = this.content.textContent;
    this.content.textContent = "";
    this.content.classList.remove("plain");
    this.prose = new LiveProse(this.content);
    if (already) this.#write(already);
    this.clock = setInterval(() => this.#tick(), 1000);
  }

  receive(name, piece) {
    this.pending[name] += piece;
    this.#say("");
    this.frame ||= requestAnimationFrame(() => this.#onFrame());
  }

  /** Forget what is shown: the server tells the answer anew, from its start. */
  restart() {
    this.pending = { reasoning: "", message: "" };
    this.content.textContent = "";
    this.reasoning.textContent = "";
    this.details.hidden = true;
    // What was shown as text may have been thoughts, from the first word on.
    this.restarted = true;
    this.thoughtFrom = null;
    this.thoughtFor = undefined;
    this.prose = new LiveProse(this.content);
  }

  /** Say in the answer's place that the page has lost the server for now. */
  cut() {
    this.#say(text("reconnecting"), { kept: true });
  }

  /**
   * Let the answer be as the server has stored it; what was streamed stays where that cannot be read.
   *
   * Text that looks the same already is left untouched, so that nobody sees it change hands.
   */
  async finish(path, words) {
    this.#rest();
    this.#draw();
    this.prose.finish();
    const { element } = this;
    try {
      const [stored] = await fragment(path);
      this.#become(stored);
    } catch (failure) {
      // While the server is away, nobody knows how it ended: that is said until it can be read.
      if (failure.status === 0 || failure.status >= 500) {
        this.cut();
        return element;
      }
      one(".waiting", element)?.remove();
    }
    element.removeAttribute("aria-busy");
    this.content.removeAttribute("data-live");
    announce(words);
    grown();
    return element;
  }

  remove() {
    this.#rest();
    this.element.remove();
  }

  #become(stored) {
    const { element, content, details } = this;
    for (const name of ["data-status", "data-message", "id"]) element.setAttribute(name, stored.getAttribute(name));
    element.removeAttribute("data-event-id");
    one(".byline", element).replaceWith(one(".byline", stored));
    const thoughts = one(".reasoning", stored);
    if (!thoughts) {
      details.remove();
    } else if (one(".reasoning-text", thoughts).textContent !== this.reasoning.textContent) {
      this.reasoning.textContent = one(".reasoning-text", thoughts).textContent;
      details.hidden = false;
    }
    if (thoughts) {
      const told = one("summary", thoughts);
      if (!("timed" in thoughts.dataset) && this.thoughtFor) told.textContent = text("thought", { seconds: this.thoughtFor });
      one("summary", details).replaceChildren(...told.childNodes);
    }
    const prose = one(".prose", stored);
    content.className = prose.className;
    if (shape(prose) !== shape(content)) patch(content, prose);
    while (content.nextSibling) content.nextSibling.remove();
    while (prose.nextSibling) element.append(prose.nextSibling);
  }

  #rest() {
    clearInterval(this.clock);
    clearTimeout(this.settling);
    cancelAnimationFrame(this.frame);
  }

  #onFrame() {
    // An answer that takes longer to show is shown less often, and the page stays quick.
    if (performance.now() < this.restUntil) {
      this.frame = requestAnimationFrame(() => this.#onFrame());
      return;
    }
    const began = performance.now();
    this.#draw();
    const took = performance.now() - began;
    this.restUntil = took > DRAW_MILLISECONDS ? performance.now() + took * 3 : 0;
    clearTimeout(this.settling);
    this.settling = setTimeout(() => {
      this.prose.draw({ settle: true });
      grown();
    }, SETTLED_AFTER);
  }

  #draw() {
    this.frame = 0;
    const { reasoning, message } = this.pending;
    this.pending = { reasoning: "", message: "" };
    if (reasoning) {
      this.thoughtFrom ??= this.restarted ? this.began : performance.now();
      this.details.hidden = false;
      this.#think(reasoning);
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
    this.prose.append(piece);
    this.prose.draw();
  }

  /** Thoughts are shown as they are, a block for each line, so that only the last is laid out again. */
  #think(piece) {
    for (const line of piece.split(/(?<=\n)/)) {
      const last = this.reasoning.lastElementChild;
      if (last && !last.textContent.endsWith("\n")) {
        last.firstChild.appendData(line);
      } else {
        const block = document.createElement("div");
        block.append(line);
        this.reasoning.append(block);
      }
    }
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
