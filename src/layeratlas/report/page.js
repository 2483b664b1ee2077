"use strict";
(() => {
  const { data, rows } = atlas;
  const state = { ...data.defaults, shown: [...data.shown], reached: null };
  const views = [];
  const inner = (element) => Math.max(220, element.clientWidth);

  function specFor(element) {
    const kind = element.dataset.chart;
    const spec = structuredClone(data.specs[kind]);
    const part = element.dataset.part === undefined ? null : Number(element.dataset.part);
    const belongs = (row) => (part === null ? row.kind === "level" || kind === "heat" : row.part === part);
    spec.datasets = { curves: rows.curves.filter(belongs), peaks: rows.peaks.filter(belongs) };
    for (const param of spec.params || []) {
      if (param.name === "part") param.value = part;
      else if (param.name in state) param.value = state[param.name];
    }
    // A concatenated chart cannot take its width from its container, so it is set here.
    const aside = spec.usermeta?.aside ?? (kind.startsWith("exhibit-") ? 84 : 56);
    if (spec.vconcat) for (const chart of spec.vconcat) chart.width = Math.max(160, inner(element) - aside);
    if (kind.startsWith("exhibit-")) narrow(spec, inner(element));
    return spec;
  }

  // A study's own charts have fixed widths: a narrower page sets its own width and puts legends on top.
  function narrow(spec, width) {
    if (spec.concat) {
      const [column, gap] = [spec.concat[0].width + 44, spec.spacing ?? 20];
      spec.columns = Math.max(1, Math.min(spec.columns, Math.floor((width + gap) / (column + gap))));
      if (spec.columns === 1) for (const chart of spec.concat) chart.width = width - 52;
    }
    if (width < 480) {
      spec.config.legend = { ...spec.config.legend, orient: "top", columns: 2, labelLimit: width / 2 - 40 };
      spec.config.axisY = { ...spec.config.axisY, labelLimit: width / 3 };
    }
    if (typeof spec.width !== "number" || spec.width + 100 < width) return;
    if (spec.width === spec.height) spec.height = width;
    spec.width = width;
    spec.autosize = { type: spec.width === spec.height ? "fit" : "fit-x", contains: "padding" };
  }

  async function draw(slot) {
    if (slot.result) slot.result.finalize();
    slot.width = slot.element.clientWidth;
    slot.result = await atlas.draw(slot.element, specFor(slot.element));
  }

  // Pass on the choices of these names to every chart that knows them.
  function update(...names) {
    for (const slot of views) {
      const view = slot.result && slot.result.view;
      if (!view) continue;
      const known = new Set(Object.keys(view.getState({ signals: () => true, data: () => false }).signals));
      for (const name of names) if (known.has(name)) view.signal(name, state[name]);
      view.runAsync();
    }
  }

  // Not every part has a curve for every method and metric: parts without one are hidden, and levels named in a note.
  function hideEmpty() {
    const all = ["component", "method", "metric"];
    const fits = (row, names) => names.every((name) => row[name] === state[name]);
    for (const slot of views) {
      const { chart, part } = slot.element.dataset;
      if (part === undefined) continue;
      const names = chart === "components" ? all.slice(1) : all;
      const figure = slot.element.closest("figure");
      const hidden = !rows.peaks.some((row) => row.part === Number(part) && fits(row, names));
      const back = figure.hidden && !hidden;
      figure.hidden = hidden;
      if (back) draw(slot);
    }
    const has = (level) => rows.peaks.some((row) => row.kind === "level" && row.level === level && fits(row, all));
    const absent = data.levels.filter((level) => !has(level));
    const note = document.getElementById("absent");
    if (!note) return;  // a study without curves
    note.hidden = !absent.length;
    note.textContent = absent.length ? `No curve with these choices: ${absent.join(", ")}.` : "";
  }

  for (const element of document.querySelectorAll("[data-chart]")) views.push({ element });
  const ready = Promise.all(views.map(draw)).then(hideEmpty).then(() => { document.documentElement.dataset.ready = "yes"; });

  let waiting;
  new ResizeObserver(() => {
    clearTimeout(waiting);
    waiting = setTimeout(() => ready.then(() => {
      for (const slot of views) {
        const fixed = /^(hero|exhibit-)/.test(slot.element.dataset.chart);
        if (fixed && slot.width !== slot.element.clientWidth) draw(slot);
      }
    }), 120);
  }).observe(document.body);

  for (const input of document.querySelectorAll(".switches input")) {
    input.addEventListener("change", () => { state[input.name] = input.value; hideEmpty(); update(input.name); });
  }
  for (const button of document.querySelectorAll("[data-level]")) {
    button.addEventListener("click", () => {
      const level = button.dataset.level;
      const on = !state.shown.includes(level);
      state.shown = data.levels.filter((name) => (name === level ? on : state.shown.includes(name)));
      button.setAttribute("aria-pressed", String(on));
      update("shown");
    });
  }

  const hero = document.querySelector(".hero");
  hero?.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step && event.key !== "Escape") return;
    event.preventDefault();
    const here = rows.curves.filter((row) => row.kind === "level" && state.shown.includes(row.level)
      && ["component", "method", "metric"].every((name) => row[name] === state[name]));
    const last = Math.max(0, ...here.map((row) => row.layer));
    state.reached = step ? Math.min(last, Math.max(0, (state.reached ?? (step > 0 ? -1 : last + 1)) + step)) : null;
    const reading = (row) => `${row.level} ${row.estimate.toFixed(3)}, ${row.lo.toFixed(3)} to ${row.hi.toFixed(3)}`;
    const now = here.filter((row) => row.layer === state.reached).map(reading);
    document.getElementById("reading").textContent = now.length ? `Layer ${state.reached}: ${now.join("; ")}` : "";
    update("reached");
  });
})();
