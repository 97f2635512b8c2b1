/** The modules that index.html names and does not run. */

const loaded = new Map<string, Promise<unknown>>();

/**
 * Load one: `<script type="text/plain" data-module="NAME" src integrity>`.
 *
 * Its integrity is checked by a module preload first: `import()` itself has no way to ask for one, but takes what the
 * preload has put into the document's module map.
 */
export function lazy<T>(name: string): Promise<T> {
  let module = loaded.get(name);
  if (!module) {
    module = load(name);
    // A failure is not kept: the next one who asks tries again.
    module.catch(() => loaded.delete(name));
    loaded.set(name, module);
  }
  return module as Promise<T>;
}

/** Do something when the page has nothing else to do. */
export function whenIdle(run: () => void): void {
  if (window.requestIdleCallback) window.requestIdleCallback(run, { timeout: 1000 });
  else setTimeout(run, 100);
}

async function load(name: string): Promise<unknown> {
  const named = document.querySelector<HTMLScriptElement>(`script[data-module="${name}"]`);
  if (!named) throw new Error(`The page names no module ${name}.`);
  const url = named.src;
  if (named.integrity) {
    await new Promise<void>((resolve, reject) => {
      const link = document.createElement("link");
      link.rel = "modulepreload";
      link.integrity = named.integrity;
      link.crossOrigin = "anonymous";
      link.href = url;
      link.onload = () => resolve();
      link.onerror = () => reject(new Error(`${url.slice(url.lastIndexOf("/") + 1)} could not be loaded.`));
      document.head.append(link);
    });
  }
  return import(url);
}
