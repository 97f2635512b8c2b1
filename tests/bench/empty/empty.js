// The first script of a page that has nothing else: what a visit takes before a client's own time begins.
performance.mark("empty:script");
