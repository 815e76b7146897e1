// React's renderer as a module, as a CDN makes it.
export { createRoot } from "react-dom/client";
