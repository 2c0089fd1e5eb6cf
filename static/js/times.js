// Keeps "3 min ago" true while a page stays open. The words are those of arm.templatetags.ui.values.relative.
const STEPS = [
  [60, 1, "s"],
  [3600, 60, "min"],
  [86400, 3600, "h"],
  [30 * 86400, 86400, "d"],
];

export function age(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [, unit, name] = STEPS.find(([limit]) => whole < limit) ?? STEPS[3];
  return `${Math.floor(whole / unit)} ${name}`;
}

export function relative(then, now) {
  const seconds = (now - then) / 1000;
  if (Math.abs(seconds) >= 30 * 86400) return new Date(then).toISOString().slice(0, 10);
  if (Math.abs(seconds) < 2) return "just now";
  return seconds > 0 ? `${age(seconds)} ago` : `in ${age(-seconds)}`;
}

// The server's clock is the one that counts; a wrong clock on the desk must not age the fleet.
const server = Date.parse(document.body.dataset.serverTime);
const offset = Number.isNaN(server) ? 0 : server - Date.now();

export function now() {
  return Date.now() + offset;
}

function renew() {
  for (const time of document.querySelectorAll("time[data-when]")) {
    const words = relative(Date.parse(time.dateTime), now());
    if (time.textContent !== words) time.textContent = words;
  }
}

setInterval(() => {
  if (!document.hidden) renew();
}, 5000);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) renew();
});
