/** The page's texts, in the first of the browser's languages that this file has. */

const TEXTS = {
  en: {
    title: "Draw a digit",
    how: "Use a mouse, a pen or a finger. Or drop, paste or open a picture.",
    pad: "Drawing area. Without a mouse or pen, open or paste a picture. Keys: Delete clears, E switches the eraser, a digit saves the drawing as this digit.",
    several: "Several digits work too, with space between them. Examples:", api: "The API, for programs",
    undo: "Undo", clear: "Clear", eraser: "Eraser", open: "Picture", camera: "Camera",
    input: "the network’s input",
    loadingOf: (done, total) => `Loading… ${done} of ${total} MB`,
    loading: "Loading…", empty: "The answer appears while you draw.", reading: "Reading…",
    digit: (digit) => (digit === 8 ? "an 8" : `a ${digit}`),
    unsure: (first, second) => `${first}, perhaps ${second}`,
    confidence: (share) => `${share} sure`, doubt: (share) => `only ${share} sure`, ifDigit: (sure) => `${sure}, if it is a digit`,
    noDigit: "no digit I know", likest: (digit) => `most like ${digit}`,
    accuracy: (share) => `test accuracy ${share}`,
    noInk: "No ink found yet.", number: "a number; its least sure digit:", touching: "Digits touch, or one is unclear or a sign. Please draw clear, single digits.", noPicture: "This file cannot be opened as a picture.", tooLarge: "This picture is too large.",
    busy: "The server is busy; trying again…", noAnswer: "The server does not answer; trying again…",
    failed: (text) => `This failed: ${text}`,
    kept: "It is kept on the server to train on. There, “digits drawings list” shows what was kept.",
    label: "Save this drawing as …", saveAs: (digit) => `Save this drawing as ${digit}`,
    saved: (digit) => `saved as ${digit} ·`, delete: "delete", deleted: "Deleted. Undo brings the drawing back.",
    saving: "Saving…", notSaved: "The drawing was not saved; please press again.",
    notDeleted: "The drawing was not deleted; please press again.",
  },
  de: {
    title: "Zeichne eine Ziffer",
    how: "Mit Maus, Stift oder Finger. Oder leg ein Bild ab, füg es ein oder öffne es.",
    pad: "Zeichenfläche. Ohne Maus oder Stift: ein Bild öffnen oder einfügen. Tasten: Entf löscht alles, E ist der Radierer, eine Ziffer speichert die Zeichnung als diese Ziffer.",
    several: "Auch mehrere Ziffern, mit Abstand. Beispiele:", api: "Die API, für Programme",
    undo: "Zurück", clear: "Löschen", eraser: "Radierer", open: "Bild", camera: "Kamera",
    input: "Eingabe des Netzes",
    loadingOf: (done, total) => `Wird geladen… ${done} von ${total} MB`,
    loading: "Wird geladen…", empty: "Die Antwort erscheint beim Zeichnen.", reading: "Wird gelesen…",
    digit: (digit) => `eine ${digit}`,
    unsure: (first, second) => `${first}, vielleicht ${second}`,
    confidence: (share) => `zu ${share} sicher`, doubt: (share) => `nur zu ${share} sicher`, ifDigit: (sure) => `${sure}, falls es eine Ziffer ist`,
    noDigit: "keine Ziffer, die ich kenne", likest: (digit) => `allenfalls ${digit}`,
    accuracy: (share) => `im Test ${share} richtig`,
    noInk: "Noch keine Tinte gefunden.", number: "eine Zahl; die unsicherste Ziffer:", touching: "Ziffern berühren sich, oder eine ist undeutlich oder ein Zeichen. Bitte deutliche, einzelne Ziffern zeichnen.", noPicture: "Diese Datei lässt sich nicht als Bild öffnen.", tooLarge: "Dieses Bild ist zu groß.",
    busy: "Der Server ist beschäftigt; neuer Versuch…", noAnswer: "Der Server antwortet nicht; neuer Versuch…",
    failed: (text) => `Das ging nicht: ${text}`,
    kept: "Sie bleibt auf dem Server, zum Trainieren. Dort zeigt „digits drawings list“, was gespeichert ist.",
    label: "Diese Zeichnung speichern als …", saveAs: (digit) => `Diese Zeichnung als ${digit} speichern`,
    saved: (digit) => `als ${digit} gespeichert ·`, delete: "löschen", deleted: "Gelöscht. „Zurück“ holt die Zeichnung wieder.",
    saving: "Wird gespeichert…", notSaved: "Nicht gespeichert; bitte noch einmal drücken.",
    notDeleted: "Nicht gelöscht; bitte noch einmal drücken.",
  },
  es: {
    title: "Dibuja una cifra",
    how: "Con ratón, lápiz o dedo. O suelta, pega o abre una imagen.",
    pad: "Superficie de dibujo. Sin puntero, abre o pega una imagen. Teclas: Supr borra todo, E es la goma, una cifra corrige.",
    several: "También varias cifras, con espacio entre ellas. Ejemplos:", api: "La API, para programas",
    undo: "Deshacer", clear: "Borrar", eraser: "Goma", open: "Imagen", camera: "Cámara",
    input: "lo que vio la red",
    loadingOf: (done, total) => `Cargando… ${done} de ${total} MB`,
    loading: "Cargando…", empty: "La respuesta sigue tu trazo.", reading: "Leyendo…",
    digit: (digit) => `un ${digit}`,
    unsure: (first, second) => `${first}, quizá ${second}`,
    confidence: (share) => `seguridad: ${share}`, doubt: (share) => `seguridad: solo ${share}`, ifDigit: (sure) => `${sure}, si es una cifra`,
    noDigit: "ninguna cifra que conozca", likest: (digit) => `como mucho ${digit}`,
    accuracy: (share) => `${share} en su prueba`,
    noInk: "Aún no veo tinta.", number: "un número; su cifra menos segura:", touching: "Hay cifras que se tocan, una poco clara o un signo. Dibuja cifras claras y separadas.", noPicture: "No puedo abrir esto como imagen.", tooLarge: "Esta imagen es demasiado grande.",
    busy: "El servidor está ocupado; lo intento de nuevo…", noAnswer: "El servidor no responde; lo intento de nuevo…",
    failed: (text) => `No ha funcionado: ${text}`,
    kept: "Se guarda en el servidor para entrenar. Allí, «digits drawings list» muestra lo guardado.",
    label: "Guardar este dibujo como …", saveAs: (digit) => `Guardar este dibujo como ${digit}`,
    saved: (digit) => `guardado como ${digit} ·`, delete: "eliminar", deleted: "Eliminado. «Deshacer» recupera el dibujo.",
    saving: "Guardando…", notSaved: "No se pudo guardar; pulsa otra vez.",
    notDeleted: "No se pudo eliminar; pulsa otra vez.",
  },
  fr: {
    title: "Dessinez un chiffre",
    how: "À la souris, au stylet ou au doigt. Ou déposez, collez ou ouvrez une image.",
    pad: "Surface de dessin. Sans pointeur, ouvrez ou collez une image. Touches : Suppr efface tout, E est la gomme, un chiffre corrige.",
    several: "Aussi plusieurs chiffres, espacés. Exemples :", api: "L’API, pour les programmes",
    undo: "Annuler", clear: "Effacer", eraser: "Gomme", open: "Image", camera: "Photo",
    input: "vu par le réseau",
    loadingOf: (done, total) => `Chargement… ${done} sur ${total} Mo`,
    loading: "Chargement…", empty: "La réponse suit votre trait.", reading: "Lecture…",
    digit: (digit) => `un ${digit}`,
    unsure: (first, second) => `${first}, peut-être ${second}`,
    confidence: (share) => `sûr à ${share}`, doubt: (share) => `sûr à ${share} seulement`, ifDigit: (sure) => `${sure}, si c’est un chiffre`,
    noDigit: "aucun chiffre que je connaisse", likest: (digit) => `tout au plus ${digit}`,
    accuracy: (share) => `${share} à son test`,
    noInk: "Je ne vois pas encore d’encre.", number: "un nombre ; son chiffre le moins sûr :", touching: "Des chiffres se touchent, ou l’un est peu clair ou un signe. Dessinez des chiffres nets et séparés.", noPicture: "Je ne peux pas ouvrir ceci comme image.", tooLarge: "Cette image est trop grande.",
    busy: "Le serveur est occupé ; nouvel essai…", noAnswer: "Le serveur ne répond pas ; nouvel essai…",
    failed: (text) => `Cela n’a pas marché : ${text}`,
    kept: "Il est gardé sur le serveur pour l’entraînement. Là, « digits drawings list » montre ce qui est gardé.",
    label: "Garder ce dessin comme …", saveAs: (digit) => `Garder ce dessin comme ${digit}`,
    saved: (digit) => `gardé comme ${digit} ·`, delete: "supprimer", deleted: "Supprimé. « Annuler » rend le dessin.",
    saving: "Enregistrement…", notSaved: "Impossible de le garder ; appuyez encore.",
    notDeleted: "Impossible de le supprimer ; appuyez encore.",
  },
};

const language = navigator.languages.map((tag) => tag.split("-")[0]).find((tag) => Object.hasOwn(TEXTS, tag)) ?? "en";
const rounded = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1, roundingMode: "floor" });
const tenths = new Intl.NumberFormat(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const exact = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 2 });

export const words = TEXTS[language];

/** 0.9987 as "99.8%": rounded down, so that "100%" means that all other digits have 0. */
export const percent = (share) => rounded.format(share);

/** 3652765 as "3.7". */
export const megabytes = (bytes) => tenths.format(bytes / 1e6);

/** 0.6685 as "66.85%". */
export const exactPercent = (share) => exact.format(share);

/** Writes the texts into `root`: data-word names an element's text, data-label its label for screen readers. */
export function translate(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-word]")) element.textContent = words[element.dataset.word];
  for (const element of root.querySelectorAll("[data-label]")) element.ariaLabel = words[element.dataset.label];
}
