// What is typed so that nothing is lost by a click.

// Of a text they are not seen, or not as what they are.
const UNSEEN = /[\p{Cc}\p{Cf}]/gu;

/** What of a name can be seen and typed: a page shows one space where there are several, or tabs or line breaks. */
const folded = (text: string) => text.replace(/\s+/g, " ").replace(UNSEEN, "").trim();

/** What is to be typed: the name, or what stands for it if nothing of it can be seen. */
export const toType = (name: string, other: string) => (folded(name) === "" ? other : name);

/** Whether the name was typed as it is shown. */
export const isTyped = (typed: string, name: string) => folded(typed) === folded(name);
