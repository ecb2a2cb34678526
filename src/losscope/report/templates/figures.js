// Unpacks the plotting library when the first figure comes near the screen and draws each figure when it does: the
// page opens at once, however many figures it has. Nothing is asked of the network.
"use strict";

const config = { responsive: true, displaylogo: false, displayModeBar: false, showSendToCloud: false, plotlyServerURL: "" };
const boxes = [...document.querySelectorAll("[data-plot]")];

async function unpacked(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

let loading;
function plots() {
  loading ??= Promise.all([unpacked("plotly"), unpacked("plots")]).then(([library, drawings]) => {
    const script = document.createElement("script");
    script.textContent = library;
    document.head.append(script);
    return JSON.parse(drawings);
  });
  return loading;
}

function dressed(layout) {
  const style = getComputedStyle(document.documentElement);
  const [text, grid] = ["--text", "--grid"].map((name) => style.getPropertyValue(name).trim());
  // Where one axis is tied to the other, margins that follow the labels never settle.
  const automargin = !layout.yaxis?.scaleanchor;
  const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: grid, automargin };
  return {
    ...layout,
    xaxis: { ...axis, ...layout.xaxis },
    yaxis: { ...axis, ...layout.yaxis },
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: text },
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    margin: { l: 52, r: 10, t: 8, b: 42 },
    showlegend: false,
    hovermode: "closest",
  };
}

async function draw(box) {
  try {
    const { data, layout } = (await plots())[box.dataset.plot];
    await Plotly.react(box, data, dressed(layout), config);
    box.dataset.drawn = "true";
  } catch (error) {
    box.textContent = `This browser can't draw the figure (${error.message}). Its numbers are below.`;
  }
}

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
  document.querySelectorAll("details.more, .checks details").forEach((part) => { part.open = true; });
  boxes.filter((box) => !box.dataset.drawn).forEach(draw);
});
