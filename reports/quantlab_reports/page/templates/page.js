"use strict";
// All of it adds to what can be read without it: sorting, filtering, hovering, and the choice of dark or light.
const hover = document.getElementById("hover");
const tell = (text, x, y) => {
  hover.hidden = !text;
  if (!text) return;
  hover.textContent = text;
  const left = Math.min(x + 14, innerWidth - hover.offsetWidth - 8);
  const fits = y + 18 + hover.offsetHeight < innerHeight;
  hover.style.left = `${Math.max(left, 8)}px`;
  hover.style.top = `${fits ? y + 18 : y - hover.offsetHeight - 12}px`;
};

(() => {
  const root = document.documentElement;
  const colours = document.getElementById("colours");
  colours.hidden = false;
  colours.addEventListener("click", () => {
    const dark = root.dataset.colours
      ? root.dataset.colours === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.colours = dark ? "light" : "dark";
  });

  const value = (row, column) => {
    const cell = row.cells[column];
    const text = cell.textContent.trim();
    const known = cell.dataset.sort ?? (cell.classList.contains("number") ? shown(text) : text);
    if (known === "inf") return Infinity;
    if (known === "-inf") return -Infinity;
    return known === "" || Number.isNaN(Number(known)) ? text : Number(known);
  };
  // The number at the beginning of a cell, as it is written for people: −1,234.5 [−2, 3].
  const shown = (text) => {
    const [written] = text.match(/^[−+-]?(?:∞|[\d,]+(?:\.\d+)?(?:e[−+-]?\d+)?)/) ?? [""];
    return written.replaceAll("−", "-").replaceAll(",", "").replace("∞", "inf").replace("+", "");
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const up = heading.getAttribute("aria-sort") !== "ascending";
        for (const other of headings) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", up ? "ascending" : "descending");
        const body = table.tBodies[0];
        const compare = (a, b) => {
          const [one, other] = [value(a, column), value(b, column)];
          if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
          return one < other ? -1 : one > other ? 1 : 0;
        };
        body.append(...[...body.rows].sort((a, b) => (up ? compare(a, b) : compare(b, a))));
      });
    });
  }

  for (const filters of document.querySelectorAll(".filters")) {
    filters.hidden = false;
    const table = filters.parentElement.querySelector("table");
    filters.addEventListener("change", () => {
      for (const row of table.tBodies[0].rows) {
        row.hidden = [...filters.querySelectorAll("fieldset")].some((set) => {
          const chosen = [...set.querySelectorAll("input:checked")].map((box) => box.value);
          const own = row.dataset[set.dataset.filter];
          return own !== "" && !chosen.includes(own);
        });
      }
    });
  }

  // Arrows lead from card to card; a click or Enter opens one, and Escape closes it.
  const cards = [...document.querySelectorAll(".card")];
  const open = (card, opened) => {
    card.classList.toggle("open", opened);
    card.querySelector("button").setAttribute("aria-expanded", String(opened));
  };
  for (const card of cards) {
    const button = document.createElement("button");
    button.type = "button";
    button.tabIndex = -1; // the card itself has the focus
    const name = card.querySelector(".where");
    button.append(...name.childNodes);
    name.append(button);
    open(card, false);
    card.addEventListener("click", () => open(card, !card.classList.contains("open")));
  }
  document.addEventListener("keydown", (event) => {
    const card = document.activeElement?.closest(".card");
    if (!card) return;
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) cards[cards.indexOf(card) + step]?.focus();
    else if (event.key === "Enter") open(card, !card.classList.contains("open"));
    else if (event.key === "Escape") open(card, false);
    else return;
    event.preventDefault();
  });

  const told = (target) => target.closest?.(".chart [aria-label]")?.getAttribute("aria-label");
  document.addEventListener("pointermove", (event) => tell(told(event.target), event.clientX, event.clientY));

  // One drawing for each runtime.
  for (const choice of document.querySelectorAll(".choice")) {
    choice.hidden = false;
    choice.addEventListener("change", (event) => {
      for (const view of choice.parentElement.querySelectorAll(".view")) {
        view.hidden = !view.dataset.names.split(" ").includes(event.target.value);
      }
    });
  }
})();
