"use strict";
// Draws the charts, one after the other so that the page answers meanwhile; all of them before it is printed.
(() => {
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const plots = [...document.querySelectorAll(".plot")];
  const root = document.documentElement;
  const font = getComputedStyle(document.body).fontFamily;
  const text = { labelColor: "var(--quiet)", titleColor: "var(--quiet)", labelFontSize: 11, titleFontSize: 12, titleFontWeight: "normal" };
  const config = {
    font, background: null, view: { stroke: null },
    axis: { ...text, gridColor: "var(--hair)", domainColor: "var(--hair)", tickColor: "var(--hair)", titlePadding: 6 },
    axisX: { grid: true, labelFlush: true },
    axisY: { domain: false, ticks: false, labelPadding: 5 },
  };
  const views = new Map();

  const begun = new Set();

  async function draw(number) {
    if (begun.has(number)) return;
    begun.add(number);
    const spec = {
      ...specs[number],
      width: "container", autosize: { type: "fit-x", contains: "padding" }, padding: { left: 2, right: 8, top: 4, bottom: 2 },
      params: [{ name: "focus", value: null }],
    };
    const { view } = await vegaEmbed(plots[number], spec, {
      mode: "vega-lite", renderer: "svg", config, actions: false, defaultStyle: false, tooltip: tooltip(spec.usermeta),
    });
    views.set(plots[number], view);
    root.dataset.drawn = String(views.size);
  }

  // -------------------------------------------------------------------------------------------- words at the pointer

  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);

  const said = (value) => (typeof value === "number" ? String(Number(value.toPrecision(3))) : value);

  const tooltip = ({ names, say }) => (_, event, item) => {
    const datum = item?.datum;
    tip.hidden = datum?.line === undefined || item.mark.marktype === "line" || item.mark.marktype === "area";
    if (tip.hidden) return;
    const lines = say.filter(([, field]) => datum[field] != null).map(([name, field]) => `${name}: ${said(datum[field])}`);
    if (datum.foot !== undefined) lines.push("diverged");
    tip.replaceChildren(...[names[datum.line] ?? datum.line, ...lines].map((text, number) => {
      const line = document.createElement(number ? "div" : "b");
      line.textContent = text;
      return line;
    }));
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - width - 8))}px`;
    tip.style.top = `${event.clientY + height + 24 < innerHeight ? event.clientY + 16 : event.clientY - height - 12}px`;
  };

  // -------------------------------------------------------------------------------------------- one line of many

  for (const legend of document.querySelectorAll(".legend")) {
    const buttons = [...legend.querySelectorAll("button")];
    const mine = [...legend.parentElement.querySelectorAll(".plot")];
    const pressed = () => buttons.find((button) => button.getAttribute("aria-pressed") === "true");
    const show = (button) => {
      for (const plot of mine) views.get(plot)?.signal("focus", button ? button.dataset.line : null).run();
    };
    for (const button of buttons) {
      button.addEventListener("click", () => {
        const before = pressed();
        before?.setAttribute("aria-pressed", "false");
        if (before !== button) button.setAttribute("aria-pressed", "true");
        show(pressed());
      });
      button.addEventListener("pointerenter", () => show(button));
      button.addEventListener("pointerleave", () => show(pressed()));
    }
  }

  // -------------------------------------------------------------------------------------------- when

  root.dataset.plots = String(plots.length);
  const from = async (number) => {
    if (number >= plots.length) return;
    await draw(number);
    setTimeout(from, 0, number + 1);
  };
  from(0);
  addEventListener("beforeprint", () => {
    plots.forEach((_, number) => draw(number));
    document.querySelectorAll("details.table").forEach((each) => { each.open = true; });
  });
})();
