/** Shows a message if the page's modules did not run. It is JavaScript of 2009, so that it runs in old browsers too. */
window.addEventListener("load", function () {
  if (document.documentElement.hasAttribute("data-running")) return;
  var texts = {
    en: [
      "This page cannot run from a file. In its folder, start “python -m http.server” and open http://localhost:8000.",
      "A part of this page could not be loaded. Please load it again. If that does not help, this browser is too old, or the server does not send .js files as text/javascript.",
    ],
    de: [
      "Diese Seite läuft nicht aus einer Datei. Starte in ihrem Ordner „python -m http.server“ und öffne http://localhost:8000.",
      "Ein Teil dieser Seite ließ sich nicht laden. Bitte lade sie neu. Hilft das nicht, ist dieser Browser zu alt, oder der Server sendet .js-Dateien nicht als text/javascript.",
    ],
    es: [
      "Esta página no funciona desde un archivo. En su carpeta, ejecuta «python -m http.server» y abre http://localhost:8000.",
      "No se pudo cargar una parte de esta página. Cárgala de nuevo. Si no ayuda, este navegador es demasiado antiguo, o el servidor no envía los archivos .js como text/javascript.",
    ],
    fr: [
      "Cette page ne marche pas depuis un fichier. Dans son dossier, lancez « python -m http.server » et ouvrez http://localhost:8000.",
      "Une partie de cette page n’a pas pu être chargée. Rechargez-la. Si cela n’aide pas, ce navigateur est trop ancien, ou le serveur n’envoie pas les fichiers .js comme text/javascript.",
    ],
  };
  var first = document.getElementById("first");
  var text = texts[(navigator.language || "en").slice(0, 2)] || texts.en;
  first.textContent = text[location.protocol === "file:" ? 0 : 1];
  first.setAttribute("aria-busy", "false");
  first.setAttribute("role", "alert");
});
