// React as a module, as a CDN makes it.
export { createElement, useEffect, useState } from "react";
