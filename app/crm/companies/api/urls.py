from rest_framework.routers import SimpleRouter

from crm.companies.api.views import CompanyViewSet

router = SimpleRouter()
router.register("companies", CompanyViewSet, basename="companies")
urlpatterns = router.urls
