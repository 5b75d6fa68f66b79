// Loaded before any schema is made, by whoever makes them: zod would make code of text, which the pages' policy forbids.

import { config } from "zod";

config({ jitless: true });
