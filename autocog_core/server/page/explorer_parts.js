// What the page uses of the explorer. Its scripts are no modules, because pages in one file hold
// them, too: their functions are global.

export const {
  autocogBar: makeBar,
  autocogButton: makeButton,
  autocogElement: makeElement,
  autocogExplorer: drawExplorer,
  autocogLegend: makeLegend,
  autocogLogprob: logprobText,
  autocogProb: probText,
  autocogShorten: shorten,
  autocogTable: makeTable,
  autocogTokenLevel: tokenLevel,
} = globalThis;
