"use strict";
// The texts that the chosen layer gets wrong, below each level's curve.
atlas.showMistakes = (mistakes, layer) => {
  const most = 40;
  for (const box of document.querySelectorAll("details.wrong")) {
    const sets = mistakes.filter((set) => set.level === box.dataset.level && set.wrong[layer]);
    box.hidden = !sets.length;
    if (!sets.length) continue;
    const all = sets.flatMap((set) => set.wrong[layer].map((place, i) => [set, place, set.said[layer][i]]));
    const shown = sets.reduce((sum, set) => sum + set.texts.length, 0);
    box.querySelector("summary").textContent = `What layer ${layer} gets wrong (${all.length} of ${shown})`;
    box.querySelector("ul").replaceChildren(...all.slice(0, most).map(([set, place, said]) => {
      const row = document.createElement("li");
      const quote = Object.assign(document.createElement("q"), { textContent: set.texts[place] });
      row.append(quote, ` – ${set.labels[place]}, ${set.given} ${set.names[said]}${sets.length > 1 ? ` (${set.task})` : ""}`);
      return row;
    }));
    if (all.length > most) box.querySelector("ul").append(Object.assign(document.createElement("li"), { textContent: `and ${all.length - most} more` }));
  }
};
