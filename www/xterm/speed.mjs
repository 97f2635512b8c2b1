// Lets `src/term/frames.ts` decide when and what xterm.js 6.0.0 draws, which no option of it does, and leaves less work
// and less garbage behind for each line that scrolls. None of it changes what is on screen in the end.

export const speed = [
  {
    // The renderer's two frames, and the one in which the selection follows what has scrolled.
    at: [
      "src/browser/RenderDebouncer.ts:35",
      "src/browser/RenderDebouncer.ts:53",
      "src/browser/services/SelectionService.ts:282",
    ],
    upstream: "Take the function that asks for a frame as an option, or bound frames under load by itself.",
    pattern: /this\._coreBrowserService\.window\.requestAnimationFrame\(\(\)=>this\.(_innerRefresh|_refresh)\(\)\)/g,
    by: "dayflyFrame(()=>this.$1())",
    times: 3,
  },
  {
    // The field for input follows the cursor with each move; it needs to only before the next frame.
    at: ["src/browser/CoreBrowserTerminal.ts:505"],
    upstream: "Call `_syncTextArea` from a refresh callback, once a frame.",
    pattern: "this._renderService.handleCursorMove(),this._syncTextArea()",
    by:
      "this._renderService.handleCursorMove(),this._dayflyField??=this._renderService.addRefreshCallback(" +
      "()=>{this._dayflyField=void 0,this._syncTextArea()})",
    times: 1,
  },
  {
    // Selection and scroll bar follow each line that scrolls; they need to only once for all of one write.
    at: ["src/browser/CoreBrowserTerminal.ts:539"],
    upstream: "Gather scroll events of one write in a microtask before refreshing selection and viewport.",
    pattern: "()=>{this._selectionService.refresh(),this._viewport?.queueSync()}",
    by:
      "()=>{this._dayflyScrolled||(this._dayflyScrolled=!0,queueMicrotask(()=>{this._dayflyScrolled=!1," +
      "this._selectionService.refresh(),this._viewport?.queueSync()}))}",
    times: 1,
  },
  {
    // The same of the viewport itself.
    at: ["src/browser/Viewport.ts:103"],
    upstream: "Use `queueSync`, which waits for the next frame, in the place of `_sync`.",
    pattern: "this._bufferService.onScroll(()=>this._sync())",
    by:
      "this._bufferService.onScroll(()=>{this._dayflySync??=this._renderService.addRefreshCallback(" +
      "()=>{this._dayflySync=void 0,this._sync()})})",
    times: 1,
  },
  {
    // Without a selection, each refresh of it draws all lines a second time.
    at: ["src/browser/services/SelectionService.ts:299"],
    upstream: "Fire no redraw where there is no selection, and was none at the last one.",
    pattern: "_refresh(){this._refreshAnimationFrame=void 0,this._onRedrawRequest",
    by: "_refresh(){this._refreshAnimationFrame=void 0,dayflySelection(this)&&this._onRedrawRequest",
    times: 1,
  },
  {
    // A line that scrolls in is a copy of the blank one, and most have nothing in these two to be forgotten.
    at: [
      "src/common/buffer/BufferLine.ts:420",
      "src/common/buffer/BufferLine.ts:435",
      "src/common/buffer/BufferLine.ts:439",
    ],
    upstream: "Keep the two objects where they are empty.",
    pattern: /this\.(_combined|_extendedAttrs)=\{\};for\(/g,
    by: "this.$1=dayflyEmptied(this.$1);for(",
    times: 3,
  },
];
