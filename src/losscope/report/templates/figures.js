const figures = JSON.parse(document.getElementById("figures").textContent);
const config = { responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "" };
for (const box of document.querySelectorAll("[data-figure]")) {
  const { data, layout } = figures[box.dataset.figure];
  Plotly.newPlot(box, data, layout, config);
}
