// Parts of a page that look again by themselves. Without this script the pages work all the same.
"use strict";

const said = document.getElementById("said");

async function fetched(where) {
  const answer = await fetch(where, { cache: "no-store", credentials: "same-origin" });
  if (!answer.ok || answer.redirected) return null;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return document.adoptNode(page.body.firstElementChild);
}

function put(part, fresh) {
  const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
  part.replaceWith(fresh);
  if (focused) document.getElementById(focused)?.focus();
}

let next = 0;

async function look() {
  clearTimeout(next);
  const part = document.querySelector("[data-live]");
  if (!part) return;
  let wait = 10000;
  try {
    const fresh = document.hidden ? null : await fetched(part.dataset.live);
    if (fresh) {
      const changed = fresh.dataset.sign !== part.dataset.sign;
      if (fresh.outerHTML !== part.outerHTML) put(part, fresh);
      if (fresh.dataset.said !== part.dataset.said) said.textContent = fresh.dataset.said;
      for (const other of changed ? document.querySelectorAll("[data-follow]") : []) {
        const newer = await fetched(other.dataset.follow);
        if (newer) put(other, newer);
      }
    }
    wait = Number((fresh ?? part).dataset.every);
  } catch {
    // the server is away: it may come back
  }
  clearTimeout(next);
  next = setTimeout(look, wait);
}

const first = document.querySelector("[data-live]");
if (first) next = setTimeout(look, Number(first.dataset.every));
document.addEventListener("visibilitychange", () => document.hidden || look());
