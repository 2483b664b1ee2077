"use strict";
// What a reader takes away: a chart as SVG, PNG or CSV, a finding as a sentence for Markdown or LaTeX.
atlas.taking = (() => {
  const named = (text) => text.replace(/[^\w.-]+/g, "-").replace(/^-|-$/g, "").toLowerCase();
  const title = () => named(document.querySelector("h1").textContent);

  function save(name, blob) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // The page's colours are variables: a file of its own gets the light ones.
  async function svgOf(result, colours) {
    const svg = await result.view.toSVG();
    const light = svg.replace(/var\(--([\w-]+)\)/g, (whole, name) => colours[name] ?? whole);
    return light.replace(/(<svg[^>]*>)/, `$1<rect width="100%" height="100%" fill="${colours.paper}"/>`);
  }

  async function pngOf(svg) {
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: 2 * image.width, height: 2 * image.height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  function csvOf(rows) {
    const cell = (value) => (/[",\n]/.test(value ?? "") ? `"${String(value).replace(/"/g, '""')}"` : String(value ?? ""));
    const names = Object.keys(rows[0] ?? {});
    return [names, ...rows.map((row) => names.map((name) => row[name]))].map((row) => row.map(cell).join(",")).join("\n");
  }

  // Buttons below a chart; `rowsOf` returns the rows that it draws now.
  function chart(element, result, colours, rowsOf) {
    const figure = element.closest("figure");
    if (!figure || figure.querySelector(".take")) return;
    const label = figure.querySelector("figcaption b")?.textContent ?? element.getAttribute("aria-label") ?? "chart";
    const name = named(`${title()}-${element.dataset.chart}-${element.dataset.part ?? ""}`);
    const forms = {
      SVG: async () => new Blob([await svgOf(element.result ?? result, colours)], { type: "image/svg+xml" }),
      PNG: async () => pngOf(await svgOf(element.result ?? result, colours)),
      CSV: async () => new Blob([csvOf(rowsOf())], { type: "text/csv" }),
    };
    const row = Object.assign(document.createElement("p"), { className: "take" });
    row.append("Save as ");
    for (const [form, make] of Object.entries(forms)) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: form });
      button.setAttribute("aria-label", `Save as ${form}: ${label.slice(0, 80)}`);
      button.addEventListener("click", async () => save(`${name}.${form.toLowerCase()}`, await make()));
      row.append(button);
    }
    figure.append(row);
  }

  const signs = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "−": "$-$",
    "–": "--", "<": "$<$", ">": "$>$", "²": "$^2$", "κ": "$\\kappa$", "‘": "`", "’": "'" };
  const latex = (text) => text.replace(/[\\~^−–<>²κ‘’&%$#_{}]/g, (sign) => signs[sign] ?? `\\${sign}`);
  const plain = (text) => text.replace(/([\\`*_[\]<])/g, "\\$1");

  function sentence(item, form) {
    const source = document.querySelector("main").dataset.source ?? "";
    const said = item.querySelector(".said").textContent.trim();
    const verdict = item.dataset.verdict;
    const text = `${said} (${[verdict, item.dataset.numbers, source].filter(Boolean).join("; ")})`;
    return form === "LaTeX" ? latex(text) : plain(text);
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = Object.assign(document.createElement("textarea"), { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  }

  for (const item of document.querySelectorAll("li[data-numbers]")) {
    const row = Object.assign(document.createElement("p"), { className: "take" });
    row.append("Copy for ");
    for (const form of ["Markdown", "LaTeX"]) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: form });
      button.addEventListener("click", async () => {
        await copy(sentence(item, form));
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = form; }, 1200);
      });
      row.append(button);
    }
    (item.querySelector("details") ?? item).append(row);
  }
  return { chart, sentence };
})();
