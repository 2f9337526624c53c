/** What the page says, in the first of the reader's languages that it knows. */

const TEXTS = {
  en: {
    title: "Draw a digit",
    how: "With mouse, pen or finger. Or drop, paste or open a picture of one.",
    pad: "Drawing surface. Without a pointer, open or paste a picture. Keys: Delete clears, E is the eraser, a digit corrects.",
    undo: "Undo", clear: "Clear", eraser: "Eraser", open: "Picture", camera: "Camera",
    seen: "what the network saw",
    loading: "Loading…", empty: "The answer follows your pen.", reading: "Reading…",
    is: (digit) => (digit === 8 ? "an 8" : `a ${digit}`),
    perhaps: (first, second) => `${first}, perhaps ${second}`,
    sure: (share) => `${share} sure`,
    tested: (share) => `${share} in its test`,
    noInk: "I see no ink yet.", noPicture: "This is not a picture I can open.", tooLarge: "This picture is too large.",
    busy: "The reader is busy; trying again…", away: "The reader does not answer; trying again…",
    failed: (text) => `That did not work: ${text}`,
    wasA: "That was a …", keepAs: (digit) => `Keep this drawing as ${digit}`,
    kept: (digit) => `kept as ${digit} ·`, forget: "forget it", forgotten: "Forgotten again.",
    keeping: "Keeping it…", notKept: "It could not be kept; please press again.",
    notForgotten: "It could not be forgotten; please press again.",
  },
  es: {
    title: "Dibuja una cifra",
    how: "Con ratón, lápiz o dedo. O suelta, pega o abre una imagen.",
    pad: "Superficie de dibujo. Sin puntero, abre o pega una imagen. Teclas: Supr borra todo, E es la goma, una cifra corrige.",
    undo: "Deshacer", clear: "Borrar", eraser: "Goma", open: "Imagen", camera: "Cámara",
    seen: "lo que vio la red",
    loading: "Cargando…", empty: "La respuesta sigue tu trazo.", reading: "Leyendo…",
    is: (digit) => `un ${digit}`,
    perhaps: (first, second) => `${first}, quizá ${second}`,
    sure: (share) => `seguridad: ${share}`,
    tested: (share) => `${share} en su prueba`,
    noInk: "Aún no veo tinta.", noPicture: "No puedo abrir esto como imagen.", tooLarge: "Esta imagen es demasiado grande.",
    busy: "El lector está ocupado; lo intento de nuevo…", away: "El lector no responde; lo intento de nuevo…",
    failed: (text) => `No ha funcionado: ${text}`,
    wasA: "Era un …", keepAs: (digit) => `Guardar este dibujo como ${digit}`,
    kept: (digit) => `guardado como ${digit} ·`, forget: "olvidarlo", forgotten: "Olvidado.",
    keeping: "Guardando…", notKept: "No se pudo guardar; pulsa otra vez.",
    notForgotten: "No se pudo olvidar; pulsa otra vez.",
  },
  fr: {
    title: "Dessinez un chiffre",
    how: "À la souris, au stylet ou au doigt. Ou déposez, collez ou ouvrez une image.",
    pad: "Surface de dessin. Sans pointeur, ouvrez ou collez une image. Touches : Suppr efface tout, E est la gomme, un chiffre corrige.",
    undo: "Annuler", clear: "Effacer", eraser: "Gomme", open: "Image", camera: "Photo",
    seen: "vu par le réseau",
    loading: "Chargement…", empty: "La réponse suit votre trait.", reading: "Lecture…",
    is: (digit) => `un ${digit}`,
    perhaps: (first, second) => `${first}, peut-être ${second}`,
    sure: (share) => `sûr à ${share}`,
    tested: (share) => `${share} à son test`,
    noInk: "Je ne vois pas encore d’encre.", noPicture: "Je ne peux pas ouvrir ceci comme image.", tooLarge: "Cette image est trop grande.",
    busy: "Le lecteur est occupé ; nouvel essai…", away: "Le lecteur ne répond pas ; nouvel essai…",
    failed: (text) => `Cela n’a pas marché : ${text}`,
    wasA: "C’était un …", keepAs: (digit) => `Garder ce dessin comme ${digit}`,
    kept: (digit) => `gardé comme ${digit} ·`, forget: "l’oublier", forgotten: "Oublié.",
    keeping: "Enregistrement…", notKept: "Impossible de le garder ; appuyez encore.",
    notForgotten: "Impossible de l’oublier ; appuyez encore.",
  },
};

const language = navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => Object.hasOwn(TEXTS, tag)) ?? "en";
const shares = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1, roundingMode: "floor" });
const measures = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 2 });

export const words = TEXTS[language];

/** 0.9987 as "99.8%": rounded down, for 100 % is said only where nothing is left for the other digits. */
export const percent = (share) => shares.format(share);

/** 0.6685 as "66.85%". */
export const measured = (share) => measures.format(share);

/** Puts the texts into `root`: data-word names an element's text, data-label its label. */
export function speak(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-word]")) element.textContent = words[element.dataset.word];
  for (const element of root.querySelectorAll("[data-label]")) element.ariaLabel = words[element.dataset.label];
}
