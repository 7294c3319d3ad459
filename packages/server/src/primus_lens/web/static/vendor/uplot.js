// Apart from index.js: the list of workloads draws no charts and need not load it.
export { default as uPlot } from "./uplot-1.6.32/uPlot.min.js";
