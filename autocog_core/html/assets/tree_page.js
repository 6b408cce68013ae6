"use strict";

autocogExplorer(document.querySelector(".explorer-host"),
  JSON.parse(document.getElementById("tree").textContent));
