// `npm run preview`: the page with the mock, for looking at.

import { serve } from "./serve.mjs";

const { url } = await serve({ port: 8471, config: { controlUrl: "https://control.example.com", joinByLink: true } });
console.log(`${url}\n${url}#control=https://control.example.com&authkey=k&host=web-1`);
