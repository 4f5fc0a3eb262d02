from django.urls import path

from crm.metrics.views import metrics

urlpatterns = [path("", metrics, name="metrics")]
