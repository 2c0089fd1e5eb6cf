// The badge beside a live part (`hx-trigger="every 3s"`): how old what you see is, and since when it no longer renews.
//
// It stops counting as live when two requests in a row fail, when nothing has come for four periods, when the session
// has ended, or while the tab is hidden (a hidden tab asks nothing). It never calls an old picture fresh.
import { age, now } from "./times.js";

const FAILURES = 2;

function clock(moment) {
  return `${new Date(moment).toISOString().slice(11, 19)} UTC`;
}

class Badge {
  constructor(element) {
    this.element = element;
    this.part = document.getElementById(element.dataset.freshness);
    this.period = Number(element.dataset.every) * 1000;
    this.words = element.querySelector("[data-words]");
    this.ageWords = element.querySelector("[data-age]");
    this.button = element.querySelector("[data-renew]");
    this.last = now();
    this.failures = 0;
    this.reason = "";
    this.button.addEventListener("click", () => this.renew());
    this.show();
  }

  renew() {
    this.failures = 0;
    window.htmx.trigger(this.part, "renew");
  }

  arrived() {
    this.last = now();
    this.failures = 0;
    this.reason = "";
    this.show();
  }

  failed(reason) {
    this.failures += 1;
    this.reason = reason;
    this.show();
  }

  get stopped() {
    return document.hidden || this.failures >= FAILURES || now() - this.last > 4 * this.period;
  }

  show() {
    const { stopped } = this;
    this.element.toggleAttribute("data-stopped", stopped);
    this.button.hidden = !stopped;
    const words = stopped ? `Stopped updating since ${clock(this.last)}` : `Updates every ${this.period / 1000} s`;
    // The words are a live region: write them only when they change, or a screen reader never rests.
    if (this.words.textContent !== words) this.words.textContent = words;
    const reason = stopped && this.reason ? `, ${this.reason}` : "";
    this.ageWords.textContent = `${age((now() - this.last) / 1000)} ago${reason}`;
  }
}

const badges = [...document.querySelectorAll("[data-freshness]")].map((element) => new Badge(element));

function badgeOf(event) {
  return badges.find((badge) => badge.part === event.detail.elt);
}

// Where the reader is inside a part that is about to be replaced: the focused link, and what is unfolded.
const kept = new WeakMap();

function same(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  return element.matches("a[href]") ? `a[href="${CSS.escape(element.getAttribute("href"))}"]` : "";
}

document.addEventListener("htmx:beforeRequest", (event) => {
  if (badgeOf(event) && document.hidden) event.preventDefault();
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const badge = badgeOf(event);
  if (!badge) return;
  const { xhr, pathInfo } = event.detail;
  if (xhr.status !== 200) return;
  const asked = new URL(pathInfo.requestPath, location.href).pathname;
  if (new URL(xhr.responseURL, location.href).pathname !== asked) {
    event.detail.shouldSwap = false; // A redirect to the sign-in page is not the fleet.
    badge.failures = FAILURES;
    badge.failed("you are signed out: reload the page");
    return;
  }
  const focus = badge.part.contains(document.activeElement) ? same(document.activeElement) : "";
  const open = [...badge.part.querySelectorAll("details[open][id]")].map((details) => details.id);
  kept.set(badge.part, { focus, open });
});

document.addEventListener("htmx:afterSwap", (event) => {
  const badge = badgeOf(event);
  if (!badge) return;
  badge.arrived();
  const { focus, open } = kept.get(badge.part) ?? { focus: "", open: [] };
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focus) badge.part.querySelector(focus)?.focus({ preventScroll: true });
});

for (const [name, reason] of [
  ["htmx:responseError", "the server answered with an error"],
  ["htmx:sendError", "the server cannot be reached"],
  ["htmx:timeout", "the server does not answer"],
]) {
  document.addEventListener(name, (event) => badgeOf(event)?.failed(reason));
}

document.addEventListener("visibilitychange", () => {
  for (const badge of badges) {
    badge.show();
    if (!document.hidden) badge.renew();
  }
});

setInterval(() => {
  if (!document.hidden) for (const badge of badges) badge.show();
}, 1000);
