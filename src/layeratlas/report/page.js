"use strict";
atlas.loaded().then((loaded) => {
  if (!loaded) return;
  const { data, rows } = loaded;
  const choices = ["component", "method", "metric"];
  const state = { ...data.defaults, shown: [...data.shown], reached: null, focus: null };
  // The chart of all levels has the axis of those that it shows.
  const levelPart = (level) => rows.peaks.find((row) => row.kind === "level" && row.level === level)?.part;
  function limits() {
    const all = structuredClone(data.limits);
    for (const ends of Object.values(all)) {
      const shown = state.shown.map((level) => ends[levelPart(level)]).filter(Boolean);
      if (shown.length) ends.levels = [Math.min(...shown.map((end) => end[0])), Math.max(...shown.map((end) => end[1]))];
    }
    return all;
  }
  state.limits = limits();
  const slots = new Map();
  const inner = (element) => Math.max(220, element.clientWidth);
  const partOf = (element) => (element.dataset.part === undefined ? null : Number(element.dataset.part));
  const fits = (row, names) => names.every((name) => row[name] === state[name]);

  // A part without the chosen measure (numbers have no accuracy) is drawn on its own first one.
  function measureOf(part, kind) {
    const names = kind === "components" ? ["method"] : ["component", "method"];
    const own = new Set(rows.peaks.filter((row) => row.part === part && fits(row, names)).map((row) => row.metric));
    return own.has(state.metric) ? state.metric : data.choices.metric.find((metric) => own.has(metric)) ?? null;
  }
  const valueFor = (element, name) => (name === "metric" && partOf(element) !== null
    ? measureOf(partOf(element), element.dataset.chart) ?? state.metric : state[name]);

  function rowsOf(element) {
    const [kind, part] = [element.dataset.chart, partOf(element)];
    const belongs = (row) => (part === null ? (kind === "heat" ? row.row !== null : row.kind === "level") : row.part === part);
    const [curves, peaks] = [rows.curves.filter(belongs), rows.peaks.filter(belongs)];
    return kind === "heat" ? { curves: onOwn(curves), peaks: onOwn(peaks) } : { curves, peaks };
  }

  // The map has every row, each on the measure that it has.
  function onOwn(table) {
    const own = new Map();
    for (const { part } of table) if (!own.has(part)) own.set(part, measureOf(part));
    return table.filter((row) => row.metric === own.get(row.part)).map((row) => ({ ...row, metric: state.metric }));
  }

  function specFor(element) {
    const kind = element.dataset.chart;
    const spec = structuredClone(data.specs[kind]);
    if (!kind.startsWith("exhibit-")) spec.datasets = rowsOf(element);
    for (const param of spec.params || []) {
      if (param.name === "part") param.value = partOf(element);
      else if (param.name in state) param.value = valueFor(element, param.name);
    }
    if (element.classList.contains("wide")) spec.height = 220;
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

  // The rows that a chart shows now, for its CSV.
  function shownBy(element) {
    const kind = element.dataset.chart;
    if (kind.startsWith("exhibit-")) return Object.values(data.specs[kind].datasets ?? {})[0] ?? [];
    const names = kind === "components" ? ["method"] : ["component", "method"];
    const on = (row) => kind !== "hero" || state.shown.includes(row.level);
    return rowsOf(element).curves.filter((row) => fits(row, names) && row.metric === valueFor(element, "metric") && on(row));
  }

  async function show(element) {
    const slot = slots.get(element) ?? {};
    if (slot.result) slot.result.finalize();
    slot.width = element.clientWidth;
    slots.set(element, slot);
    slot.result = element.result = await atlas.draw(element, specFor(element));
    slot.signals = new Set(Object.keys(slot.result.view.getState({ signals: () => true, data: () => false }).signals));
    slot.result.view.addEventListener("click", (event, item) => {
      const place = data.places[item?.datum?.level];
      if (element.dataset.chart === "heat" && place) go(place);
    });
    slot.result.view.addEventListener("pointermove", (event, item) => light(item?.datum?.level ?? null));
    atlas.taking.chart(element, slot.result, data.colours, () => shownBy(element));
  }

  // Pass on the choices of these names to every chart that knows them.
  function update(...names) {
    for (const [element, { result, signals }] of slots) {
      if (!signals || !names.some((name) => signals.has(name))) continue;
      // Its rows are other ones then.
      if (element.dataset.chart === "heat" && names.some((name) => choices.includes(name))) { show(element); continue; }
      const known = ["metric", ...names].filter((name) => signals.has(name));
      for (const name of known) result.view.signal(name, valueFor(element, name));
      result.view.runAsync();
    }
    write();
  }

  // Not every part has a curve for every component and method: parts without one are hidden. A chart names its measure
  // where it is not the chosen one; levels without that are named above the chart of all.
  function hideEmpty() {
    for (const element of document.querySelectorAll("[data-chart][data-part]")) {
      const measure = measureOf(partOf(element), element.dataset.chart);
      const figure = element.closest("figure");
      figure.hidden = measure === null;
      const name = figure.querySelector(".measure");
      if (name) name.textContent = data.metrics[measure] ?? measure ?? "";
    }
    const has = (level) => rows.peaks.some((row) => row.kind === "level" && row.level === level && fits(row, choices));
    const absent = data.levels.filter((level) => !has(level));
    const note = document.getElementById("absent");
    if (!note) return;  // a study without curves
    note.hidden = !absent.length;
    note.textContent = absent.length ? `No curve with these choices: ${absent.join(", ")}.` : "";
  }

  // The address says what is shown: `#PLACE;component=mlp;levels=item,relation;layer=12`.
  let place = "";
  function write() {
    const parts = choices.filter((name) => state[name] !== data.defaults[name]).map((name) => [name, state[name]]);
    if (String(state.shown) !== String(data.shown)) parts.push(["levels", state.shown.join(",")]);
    if (state.reached !== null) parts.push(["layer", state.reached]);
    const text = [place, ...parts.map(([name, value]) => `${name}=${encodeURIComponent(value)}`)].join(";");
    if (text || location.hash) history.replaceState(null, "", `#${text}`);
  }
  function read() {
    const [first, ...parts] = location.hash.slice(1).split(";");
    const asked = Object.fromEntries(parts.map((part) => part.split("=", 2)).map(([name, value]) => [name, decodeURIComponent(value ?? "")]));
    place = first;
    for (const name of choices) if (data.choices[name].includes(asked[name])) state[name] = asked[name];
    if (asked.levels !== undefined) state.shown = data.levels.filter((level) => asked.levels.split(",").includes(level));
    if (/^\d+$/.test(asked.layer ?? "")) state.reached = Math.min(data.layers, Number(asked.layer));
    for (const input of document.querySelectorAll(".switches input[type=radio]")) input.checked = state[input.name] === input.value;
    for (const list of document.querySelectorAll(".switches select")) list.value = state[list.name];
    state.limits = limits();
    for (const button of document.querySelectorAll(".legend [data-level]")) {
      button.setAttribute("aria-pressed", String(state.shown.includes(button.dataset.level)));
    }
    say();
  }
  function go(name) {
    place = name;
    write();
    atlas.visit(name);
  }

  // A finding and its curve light up together.
  function light(level) {
    const known = data.levels.includes(level) ? level : null;
    if (known === state.focus) return;
    state.focus = known;
    for (const item of document.querySelectorAll("li[data-level]")) {
      item.classList.toggle("lit", known !== null && item.dataset.level === known);
    }
    for (const { result, signals } of slots.values()) {
      if (signals?.has("focus")) result.view.signal("focus", known).runAsync();
    }
  }

  // The layer that the slider or the arrow keys have reached, in words.
  function say() {
    const [reading, slider, at] = ["reading", "layer", "at"].map((id) => document.getElementById(id));
    if (!reading) return;
    const here = rows.curves.filter((row) => row.kind === "level" && state.shown.includes(row.level) && fits(row, choices));
    const words = (row) => `${row.level} ${row.estimate.toFixed(3)}, ${row.lo?.toFixed(3) ?? "–"} to ${row.hi?.toFixed(3) ?? "–"}`;
    const now = here.filter((row) => row.layer === state.reached).map(words);
    reading.hidden = !now.length;
    reading.textContent = now.length ? `Layer ${state.reached}: ${now.join("; ")}` : "";
    slider.value = state.reached ?? -1;
    at.textContent = state.reached ?? "none";
    slider.setAttribute("aria-valuetext", at.textContent);
    atlas.showMistakes(data.mistakes, state.reached);
  }
  function reach(layer) {
    state.reached = layer;
    say();
    update("reached");
  }

  read();
  hideEmpty();
  const all = [...document.querySelectorAll("[data-chart]")];
  const ready = atlas.whenNear(all, show).then(() => atlas.visit(place));
  window.addEventListener("hashchange", () => { read(); hideEmpty(); update(...choices, "shown", "limits", "reached"); atlas.visit(place); });

  let waiting;
  new ResizeObserver(() => {
    clearTimeout(waiting);
    waiting = setTimeout(() => ready.then(() => {
      for (const [element, slot] of slots) {
        const fixed = /^(hero|exhibit-)/.test(element.dataset.chart);
        if (fixed && slot.width !== element.clientWidth) show(element);
      }
    }), 120);
  }).observe(document.body);

  for (const input of document.querySelectorAll(".switches input[type=radio], .switches select")) {
    input.addEventListener("change", () => { state[input.name] = input.value; hideEmpty(); say(); update(input.name); });
  }
  document.getElementById("layer")?.addEventListener("input", (event) => {
    const layer = Number(event.target.value);
    reach(layer < 0 ? null : layer);
  });
  for (const button of document.querySelectorAll(".legend [data-level]")) {
    button.addEventListener("click", () => {
      const level = button.dataset.level;
      const on = !state.shown.includes(level);
      state.shown = data.levels.filter((name) => (name === level ? on : state.shown.includes(name)));
      button.setAttribute("aria-pressed", String(on));
      state.limits = limits();
      say();
      update("shown", "limits");
    });
  }
  for (const element of document.querySelectorAll("li[data-level], .legend [data-level]")) {
    element.addEventListener("pointerenter", () => light(element.dataset.level));
    element.addEventListener("pointerleave", () => light(null));
  }
  const hero = document.querySelector(".hero");
  hero?.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step && event.key !== "Escape") return;
    event.preventDefault();
    const last = data.layers;
    reach(step ? Math.min(last, Math.max(0, (state.reached ?? (step > 0 ? -1 : last + 1)) + step)) : null);
  });
});
