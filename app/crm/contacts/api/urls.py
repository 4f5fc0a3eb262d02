from rest_framework.routers import SimpleRouter

from crm.contacts.api.views import ContactViewSet

router = SimpleRouter()
router.register("contacts", ContactViewSet, basename="contacts")
urlpatterns = router.urls
