"use strict";

for (const side of ["first", "second"]) {
  autocogExplorer(document.getElementById(side),
    JSON.parse(document.getElementById(`${side}-data`).textContent));
}
