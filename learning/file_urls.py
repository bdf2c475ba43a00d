"""Routes of files that come in and go out; those of study need not load it."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from learning.api.exports import ExportViewSet, FileExportViewSet
from learning.api.imports import FileImportViewSet, ImportViewSet, UploadViewSet

router = SimpleRouter(trailing_slash=False)
router.register("exports", ExportViewSet, "export")
router.register("imports", ImportViewSet, "import")

urlpatterns = [
    *router.urls,
    path("flashcards/import", FileImportViewSet.as_view({"post": "create"})),
    path("flashcards/uploads", UploadViewSet.as_view({"post": "create"})),
    path("flashcards/uploads/import", UploadViewSet.as_view({"post": "import_upload"})),
    path("flashcards/export", FileExportViewSet.as_view({"get": "retrieve"})),
]
