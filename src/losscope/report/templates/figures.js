// Draws each plot when it comes near the screen: the page opens at once, however many figures it has.
"use strict";
const plots = JSON.parse(document.getElementById("plots").textContent);
const config = { responsive: true, displaylogo: false, displayModeBar: false, showSendToCloud: false, plotlyServerURL: "" };

function dressed(layout) {
  const style = getComputedStyle(document.documentElement);
  const [text, grid] = ["--text", "--grid"].map((name) => style.getPropertyValue(name).trim());
  const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: grid, automargin: true };
  return {
    ...layout,
    xaxis: { ...axis, ...layout.xaxis },
    yaxis: { ...axis, ...layout.yaxis, exponentformat: "power" },
    font: { family: "inherit", size: 12, color: text },
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    margin: { l: 56, r: 12, t: 8, b: 44 },
    showlegend: false,
    hovermode: "closest",
  };
}

function draw(box) {
  const { data, layout } = plots[box.dataset.plot];
  Plotly.react(box, data, dressed(layout), config);
  box.dataset.drawn = "true";
}

const boxes = [...document.querySelectorAll("[data-plot]")];
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((one) => one.isIntersecting)) {
    watcher.unobserve(entry.target);
    draw(entry.target);
  }
}, { rootMargin: "400px" });
boxes.forEach((box) => watcher.observe(box));

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  boxes.filter((box) => box.dataset.drawn).forEach(draw);
});
addEventListener("beforeprint", () => {
  document.querySelectorAll("details.more").forEach((part) => { part.open = true; });
  boxes.filter((box) => !box.dataset.drawn).forEach(draw);
});
