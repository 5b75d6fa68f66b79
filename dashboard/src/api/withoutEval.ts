// Loaded before any schema is made: zod would make code of text, which the pages' policy forbids.

import { config } from "zod";

config({ jitless: true });
